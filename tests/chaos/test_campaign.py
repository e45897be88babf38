"""A short dose of the campaign; `make chaos` runs as long as one likes."""

from concurrent.futures import Future

import pytest

from loky import CrashReport, TaskTimeoutError, TerminatedWorkerError
from tests.chaos import campaign, plan, work
from tests.chaos.breaking import Breaking
from tests.chaos.judge import Account
from tests.chaos.verdict import VerdictError


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_promise_holds_under_fire(seed):
    figures = campaign.run(seed, 2_500, "recover")
    assert figures["ends"]["died"] > 0, "no fault struck"
    assert figures["ends"]["value"] > 1_500
    assert figures["executions"] > 2_000
    assert figures["blows"], "nothing was done to the pool"


def test_every_promise_of_the_other_mode_holds_under_fire():
    figures = campaign.run(4, 2_000, "break")
    assert figures["broken"] > 3, "hardly a pool has broken"
    assert figures["ends"]["died"] > 0
    assert figures["ends"]["broken"] > 0
    assert figures["ends"]["value"] > 500


def test_a_seed_chooses_the_mode():
    modes = [campaign.mode_of(seed) for seed in range(40)]
    assert set(modes) == {"recover", "break"}
    assert modes == [campaign.mode_of(seed) for seed in range(40)]


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


def death(started, pid=7, cause="signal", attempt=1):
    report = CrashReport(cause=cause, started=started, pid=pid, attempt=attempt)
    return TerminatedWorkerError("dead", report=report)


@pytest.fixture
def breaking():
    return Account(Breaking())


def test_the_judge_lets_a_pool_break(breaking):
    breaking.settle(task(1, retries=2), ended(error=death(started=True)))
    breaking.settle(task(2), ended(error=death(started=False)))
    breaking.settle(task(3), ended(error=death(started=True, pid=8)))
    breaking.breaking.refuse(death(started=False))
    assert breaking.breaking.is_broken
    assert breaking.ends == {"died": 2, "broken": 1}


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (death(started=True), death(started=True), "both blamed"),
        (death(started=False), death(started=False, pid=8), "as culprit"),
        (death(started=False), death(started=False, cause="timeout"), "for the sake of another"),
        (death(started=True), death(started=False, cause="zygote"), "nobody has touched it"),
        (death(started=True), death(started=True, pid=8, cause="zygote"), "nobody has touched it"),
    ],
)
def test_the_judge_sees_a_pool_that_breaks_otherwise(breaking, first, second, text):
    breaking.settle(task(1), ended(error=first))
    with pytest.raises(VerdictError, match=text):
        breaking.settle(task(2), ended(error=second))


def test_the_judge_sees_a_value_of_a_task_that_ends_its_worker(breaking):
    dying = plan.Planned(1, "retried", (work.fail_until, (1, "exit")), {"retries": 2})
    breaking.settle(dying, ended(error=death(started=True)))
    with pytest.raises(VerdictError, match="has a value"):
        breaking.settle(dying, ended(2))


def test_the_judge_sees_a_task_that_began_after_its_pool(breaking, ledger):
    breaking.settle(task(1), ended(2))
    breaking.settle(task(2), ended(4))
    work.begin(ledger, 1)
    breaking.pool_over(1, campaign.time.monotonic_ns())
    work.begin(ledger, 2)
    breaking.judge_record(ledger, 2)
    breaking.pool_over(2, 0)
    with pytest.raises(VerdictError, match="task 2 began when its pool was over"):
        breaking.judge_record(ledger, 2)


def test_the_judge_sees_what_a_task_has_left(monkeypatch):
    monkeypatch.setattr(campaign.census, "settle", lambda *_: ["process 1 (S): of a task"])
    with pytest.raises(VerdictError, match="left behind"):
        campaign.run(1, 1, "recover")


def test_the_judge_sees_a_broken_pool_that_takes_a_task(tmp_path):
    played = campaign.Campaign(1, 1, tmp_path / "starts", mode="break")
    try:
        played.account.breaking.is_broken = True
        with pytest.raises(VerdictError, match="takes a task"):
            played._replace_pool()
    finally:
        played.pool.shutdown()
        played.scarcity.close()


def test_the_judge_sees_a_cancellation_that_nobody_asked_for(books):
    future = Future()
    future.cancel()
    with pytest.raises(VerdictError, match="by nobody"):
        books.settle(task(), future)
