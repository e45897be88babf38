"""A short dose of the campaign; `make chaos` runs as long as one likes."""

from concurrent.futures import Future

import pytest

from loky import CrashReport, TaskTimeoutError, TerminatedWorkerError
from tests.chaos import campaign, plan, work
from tests.chaos.judge import Account, VerdictError


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_promise_holds_under_fire(seed):
    figures = campaign.run(seed, 2_500)
    assert figures["ends"]["died"] > 0, "no fault struck"
    assert figures["ends"]["value"] > 1_500
    assert figures["executions"] > 2_000
    assert figures["blows"], "nothing was done to the pool"


def test_a_seed_replays_the_plan():
    def planned(seed):
        chance = campaign.random.Random(seed)
        return [plan.any_task(chance, number) for number in range(1, 500)]

    assert planned(7) == planned(7)
    assert planned(7) != planned(8)


def test_the_plan_has_every_wish():
    chance = campaign.random.Random(1)
    tasks = [plan.any_task(chance, number) for number in range(1, 40_000)]
    wishes = {name for task in tasks for name in task.options}
    assert wishes == {
        *("timeout", "queue_timeout", "retries", "retry_on", "priority", "slow_after"),
        *("memory_limit", "soft_memory_limit"),
    }
    ends = set().union(*(task.ends for task in tasks))
    assert ends >= {"value", "died", "timeout", "expired", "memory_limit", "MemoryError"}


def task(number=1, retries=0, ends=("value",)):
    options = {"retries": retries} if retries else {}
    return plan.Planned(number, "double", (work.double, ()), options, frozenset(ends))


def ended(value=None, error=None):
    future = Future()
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)
    return future


@pytest.fixture
def books():
    return Account()


@pytest.fixture
def ledger(tmp_path):
    return str(tmp_path / "starts")


def test_the_judge_sees_a_task_that_began_twice(books, ledger):
    books.settle(task(), ended(2))
    work.begin(ledger, 1)
    books.judge_record(ledger, 1)
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="began 2 times"):
        books.judge_record(ledger, 1)


def test_the_judge_lets_a_task_begin_as_often_as_was_asked_for(books, ledger):
    books.settle(task(retries=1), ended(2))
    for _ in range(2):
        work.begin(ledger, 1)
    books.judge_record(ledger, 1)
    assert books.executions == 2
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="began 3 times"):
        books.judge_record(ledger, 1)


def test_the_judge_sees_a_cancelled_task_that_began(books, ledger):
    future = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    books.cancelled(1, granted=True, forced=False, at_ns=0)
    books.settle(task(), future)
    books.judge_record(ledger, 1)
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="although cancelled"):
        books.judge_record(ledger, 1)


def test_the_judge_sees_a_task_that_is_tried_again_although_nobody_wants_it(books, ledger):
    books.cancelled(1, granted=False, forced=False, at_ns=0)
    books.settle(task(retries=3), ended(2))
    work.begin(ledger, 1)
    books.judge_record(ledger, 1)
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="nobody wanted"):
        books.judge_record(ledger, 1)


def test_the_judge_sees_a_task_that_came_too_late_and_began(books, ledger):
    late = TaskTimeoutError("late", report=CrashReport(cause="timeout"))
    books.settle(task(ends=("value", "expired")), ended(error=late))
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="too late"):
        books.judge_record(ledger, 1)


def test_the_judge_sees_a_task_that_is_lost(books, ledger):
    books.settle(task(), ended(2))
    work.begin(ledger, 1)
    with pytest.raises(VerdictError, match="1 ends of 2 tasks"):
        books.judge_record(ledger, 2)


@pytest.mark.parametrize(
    ("planned", "future", "text"),
    [
        (task(), ended(3), "gives 3"),
        (task(), ended(error=ValueError(1)), "ends with ValueError"),
        (task(), ended(error=ValueError(2)), "raises of another"),
        (task(), ended(error=OSError(24, "table full")), "lacks a resource"),
        (
            task(),
            ended(error=TaskTimeoutError("late", report=CrashReport(cause="timeout"))),
            "ends with expired",
        ),
        (
            task(retries=2),
            ended(
                error=TerminatedWorkerError(
                    "dead", report=CrashReport(cause="signal", started=True, attempt=1)
                )
            ),
            "retries left",
        ),
        (
            task(),
            ended(error=TerminatedWorkerError("dead", report=CrashReport(cause="signal", started=False))),
            "had not begun",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_judge_sees_an_end_that_must_not_be(books, planned, future, text):
    with pytest.raises(VerdictError, match=text):
        books.settle(planned, future)


def test_the_judge_sees_a_cancellation_that_nobody_asked_for(books):
    future = Future()
    future.cancel()
    with pytest.raises(VerdictError, match="by nobody"):
        books.settle(task(), future)
