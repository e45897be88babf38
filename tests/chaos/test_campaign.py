"""A short dose of the campaign; `make chaos` runs as long as one likes."""

import pytest

from tests.chaos import campaign


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_promise_holds_under_fire(seed):
    figures = campaign.run(seed, 3_000)
    assert figures["ends"]["died"] > 0, "no fault struck"
    assert figures["ends"]["answered"] > 2_000
    assert figures["blows"], "nothing was done to the pool"


def test_the_judge_sees_a_task_that_began_twice(tmp_path):
    run = campaign.Campaign(1, 2, tmp_path / "starts")
    run.ends["answered"] = 2
    for number in (1, 2, 2):
        campaign.work.begin(run.ledger, number)
    with pytest.raises(campaign.VerdictError, match="began more than once"):
        run.judge_record()


def test_the_judge_sees_a_cancelled_task_that_began(tmp_path):
    run = campaign.Campaign(1, 1, tmp_path / "starts")
    run.ends["cancelled"] = 1
    run.cancelled = {1}
    campaign.work.begin(run.ledger, 1)
    with pytest.raises(campaign.VerdictError, match="although cancelled"):
        run.judge_record()


def test_the_judge_sees_a_task_that_is_lost(tmp_path):
    run = campaign.Campaign(1, 2, tmp_path / "starts")
    run.ends["answered"] = 1
    run.answered = {1}
    campaign.work.begin(run.ledger, 1)
    with pytest.raises(campaign.VerdictError, match="1 ends of 2 tasks"):
        run.judge_record()
