//! What is asked for single tasks: deadlines in stages, waits, retries, priorities, force.

use loky_core::{
    Attempt, Config, Departure, Effect, Event, KillReason, OnCrash, Outcome, RetryBackoff, TaskId,
    TaskOptions, Verdict, WorkerId,
};

use crate::hand::*;

const GRACE_NS: u64 = 1_000;

fn staged(workers: u32) -> Config {
    Config {
        interrupt_grace_ns: GRACE_NS,
        ..config(workers)
    }
}

fn wished(task: u64, options: TaskOptions) -> Event {
    Event::TaskSubmitted {
        task: TaskId(task),
        options: Some(Box::new(options)),
    }
}

fn within(timeout_ns: u64) -> TaskOptions {
    TaskOptions {
        timeout_ns: Some(timeout_ns),
        ..TaskOptions::default()
    }
}

fn repeated(retries: u32) -> TaskOptions {
    TaskOptions {
        retries,
        retry_backoff: RetryBackoff {
            first_ns: 0,
            max_ns: 0,
        },
        ..TaskOptions::default()
    }
}

fn forced(task: u64, grace_ns: u64) -> Event {
    Event::CancelRequested {
        task: TaskId(task),
        force_grace_ns: Some(grace_ns),
    }
}

fn inspect(worker: u64, task: u64) -> Effect {
    Effect::InspectTask {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(1),
    }
}

fn inspected(worker: u64, task: u64, started_ns: Option<u64>) -> Event {
    Event::TaskInspected {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(1),
        started_ns,
    }
}

fn interrupt(worker: u64, task: u64, verdict: Verdict) -> Effect {
    Effect::InterruptWorker {
        worker: WorkerId(worker),
        task: TaskId(task),
        attempt: Attempt(1),
        verdict,
    }
}

fn delivered(worker: u64) -> Event {
    Event::InterruptDelivered {
        worker: WorkerId(worker),
    }
}

fn arm(at_ns: u64) -> Effect {
    Effect::ArmTimer { at_ns }
}

fn timed_out(worker: u64, task: u64) -> Effect {
    let outcome = Outcome::TimedOut {
        worker: WorkerId(worker),
        attempt: Attempt(1),
    };
    complete(task, outcome)
}

fn rest(worker: u64, task: u64, until_ns: u64) -> Effect {
    Effect::RestTask {
        task: TaskId(task),
        worker: WorkerId(worker),
        attempt: Attempt(1),
        until_ns,
    }
}

/// A worker has been running the second task since time 40, and has been interrupted at 140.
fn interrupted() -> Hand {
    let mut hand = Hand::warm(staged(1));
    hand.expect(wished(2, within(100)), [send(1, 2, 1), arm(100)]);
    hand.now_ns = 100;
    hand.expect(Event::TimerFired, [inspect(1, 2)]);
    hand.expect(inspected(1, 2, Some(40)), [arm(140)]);
    hand.now_ns = 140;
    hand.expect(Event::TimerFired, [inspect(1, 2)]);
    let orders = [interrupt(1, 2, Verdict::TimedOut), arm(140 + GRACE_NS)];
    hand.expect(inspected(1, 2, Some(40)), orders);
    hand
}

#[test]
fn a_deadline_counts_from_the_start_and_not_from_the_sending() {
    let mut hand = Hand::warm(staged(1));
    hand.expect(
        wished(2, within(10_000_000)),
        [send(1, 2, 1), arm(10_000_000)],
    );
    hand.now_ns = 10_000_000;
    hand.expect(Event::TimerFired, [inspect(1, 2)]);
    hand.expect(inspected(1, 2, None), [arm(20_000_000)]);
    hand.now_ns = 20_000_000;
    hand.expect(Event::TimerFired, [inspect(1, 2)]);
    hand.expect(inspected(1, 2, Some(15_000_000)), [arm(25_000_000)]);
    hand.expect(
        finished(1, 2, 1),
        [complete(
            2,
            Outcome::Answered {
                worker: WorkerId(1),
            },
        )],
    );
}

#[test]
fn a_task_that_lets_go_ends_as_timed_out_and_its_worker_lives_on() {
    let mut hand = interrupted();
    hand.expect(delivered(1), []);
    hand.expect(submitted(3), []);
    hand.expect(finished(1, 2, 1), [timed_out(1, 2), send(1, 3, 1)]);
}

#[test]
fn nothing_is_sent_to_a_worker_to_which_an_interrupt_is_on_its_way() {
    let mut hand = interrupted();
    hand.expect(submitted(3), []);
    hand.expect(finished(1, 2, 1), [timed_out(1, 2)]);
    hand.expect(delivered(1), [send(1, 3, 1)]);
}

#[test]
fn a_task_that_does_not_let_go_is_killed_with_its_worker_also_in_break_mode() {
    for on_crash in [OnCrash::Recover, OnCrash::Break] {
        let mut hand = interrupted();
        hand.pool = {
            let mut other = Hand::warm(Config {
                on_crash,
                ..staged(1)
            });
            other.feed(wished(2, within(100)));
            other.now_ns = 140;
            other.feed(Event::TimerFired);
            other.feed(inspected(1, 2, Some(40)));
            other.pool
        };
        hand.now_ns = 140 + GRACE_NS;
        let why = KillReason::Task(Verdict::TimedOut);
        hand.expect(Event::TimerFired, [kill_for(1, why)]);
        hand.expect(
            exited(1, [2]),
            [timed_out(1, 2), gone(1, Departure::Killed), spawn(2, 0)],
        );
        assert_eq!(hand.pool.broken(), None);
    }
}

#[test]
fn the_stage_of_sigterm_comes_between_where_it_is_wanted() {
    let mut hand = Hand::warm(Config {
        terminate_grace_ns: Some(50),
        ..staged(1)
    });
    hand.feed(wished(2, within(100)));
    hand.now_ns = 140;
    hand.feed(Event::TimerFired);
    hand.feed(inspected(1, 2, Some(40)));
    hand.now_ns = 140 + GRACE_NS;
    let terminate = Effect::TerminateWorker {
        worker: WorkerId(1),
    };
    hand.expect(Event::TimerFired, [terminate, arm(190 + GRACE_NS)]);
    // An answer now comes too late to keep the worker: the signal may strike at any time.
    let why = KillReason::Task(Verdict::TimedOut);
    hand.expect(
        finished(1, 2, 1),
        [kill_for(1, why), timed_out(1, 2), Effect::DisarmTimer],
    );
}

#[test]
fn what_the_worker_holds_besides_is_taken_back_before_anything_strikes() {
    let mut hand = Hand::warm(Config {
        interrupt_grace_ns: GRACE_NS,
        ..config(1)
    });
    for task in 2..200 {
        hand.feed(submitted(task));
        hand.feed(finished_after(1, task, 1, 10));
    }
    hand.feed(wished(200, within(100)));
    hand.expect(submitted(201), [send(1, 201, 1)]);
    hand.now_ns = 140;
    hand.feed(Event::TimerFired);
    hand.expect(
        inspected(1, 200, Some(40)),
        [revoke(1, 201, 1), arm(140 + GRACE_NS)],
    );
    let strike = interrupt(1, 200, Verdict::TimedOut);
    hand.expect(answered(1, 201, 1, true), [strike]);
    hand.expect(delivered(1), []);
    hand.expect(finished(1, 200, 1), [timed_out(1, 200), send(1, 201, 2)]);
}

#[test]
fn a_neighbour_that_has_begun_shows_that_the_task_is_over_and_nothing_strikes() {
    let mut hand = Hand::warm(staged(1));
    for task in 2..200 {
        hand.feed(submitted(task));
        hand.feed(finished_after(1, task, 1, 10));
    }
    hand.feed(wished(200, within(100)));
    hand.feed(submitted(201));
    hand.now_ns = 140;
    hand.feed(Event::TimerFired);
    hand.feed(inspected(1, 200, Some(40)));
    hand.expect(answered(1, 201, 1, false), []);
    hand.expect(finished(1, 200, 1), [timed_out(1, 200)]);
    hand.expect(
        finished(1, 201, 1),
        [complete(
            201,
            Outcome::Answered {
                worker: WorkerId(1),
            },
        )],
    );
}

#[test]
fn a_task_that_has_not_begun_in_time_never_runs() {
    let mut hand = Hand::busy(config(1));
    let waiting = TaskOptions {
        queue_timeout_ns: Some(70),
        ..TaskOptions::default()
    };
    hand.expect(wished(3, waiting), [arm(70)]);
    hand.now_ns = 70;
    hand.expect(Event::TimerFired, [complete(3, Outcome::Expired)]);
}

#[test]
fn a_task_in_the_hands_of_a_worker_is_withdrawn_when_it_should_have_begun() {
    let waiting = TaskOptions {
        queue_timeout_ns: Some(70),
        ..TaskOptions::default()
    };
    for (revoked, orders) in [
        (true, vec![complete(2, Outcome::Expired)]),
        (false, Vec::new()),
    ] {
        let mut hand = Hand::warm(config(1));
        hand.feed(wished(2, waiting));
        hand.now_ns = 70;
        hand.expect(Event::TimerFired, [revoke(1, 2, 1)]);
        assert_eq!(hand.feed(answered(1, 2, 1, revoked)), orders);
    }
}

#[test]
fn a_started_task_is_cancelled_by_force_and_only_so() {
    let mut hand = Hand::busy(config(1));
    hand.expect(cancelled(2), [revoke(1, 2, 1)]);
    hand.expect(answered(1, 2, 1, false), []);
    let orders = [interrupt(1, 2, Verdict::Cancelled), arm(30)];
    hand.expect(forced(2, 30), orders);
    hand.now_ns = 30;
    let why = KillReason::Task(Verdict::Cancelled);
    hand.expect(Event::TimerFired, [kill_for(1, why)]);
    let orders = [
        complete(2, Outcome::Cancelled),
        gone(1, Departure::Killed),
        spawn(2, 0),
    ];
    hand.expect(exited(1, [2]), orders);
}

#[test]
fn force_does_not_touch_a_task_that_has_not_begun() {
    let mut hand = Hand::busy(config(1));
    hand.feed(submitted(3));
    hand.expect(forced(3, 30), [complete(3, Outcome::Cancelled)]);
}

#[test]
fn a_death_is_followed_by_as_many_attempts_as_were_asked_for_and_no_more() {
    let mut hand = Hand::warm(config(1));
    hand.expect(wished(2, repeated(1)), [send(1, 2, 1)]);
    hand.expect(
        exited(1, [2]),
        [rest(1, 2, 0), gone(1, Departure::Died), spawn(2, 0), arm(0)],
    );
    hand.expect(Event::TimerFired, []);
    hand.feed(spawned(2));
    hand.expect(ready(2), [send(2, 2, 2)]);
    let outcome = Outcome::Died {
        worker: WorkerId(2),
        attempt: Attempt(2),
    };
    let orders = [complete(2, outcome), gone(2, Departure::Died), spawn(3, 0)];
    hand.expect(exited(2, [2]), orders);
}

#[test]
fn an_answer_that_wants_it_is_followed_by_another_attempt() {
    let mut hand = Hand::warm(config(1));
    hand.feed(wished(2, repeated(1)));
    let wants = |attempt| Event::TaskFinished {
        worker: WorkerId(1),
        task: TaskId(2),
        attempt: Attempt(attempt),
        run_ns: LONG_NS,
        retry_wanted: true,
    };
    hand.expect(wants(1), [rest(1, 2, 0), arm(0)]);
    hand.expect(Event::TimerFired, [send(1, 2, 2)]);
    let answer = Outcome::Answered {
        worker: WorkerId(1),
    };
    hand.expect(wants(2), [complete(2, answer)]);
}

#[test]
fn a_task_that_waits_for_its_next_attempt_can_be_cancelled() {
    let mut hand = Hand::warm(config(1));
    hand.feed(wished(2, repeated(3)));
    hand.feed(exited(1, [2]));
    hand.expect(cancelled(2), [complete(2, Outcome::Cancelled)]);
}

#[test]
fn one_that_was_not_wanted_any_more_is_not_tried_again() {
    let mut hand = Hand::warm(config(1));
    hand.feed(wished(2, repeated(3)));
    hand.feed(cancelled(2));
    hand.feed(answered(1, 2, 1, false));
    let outcome = Outcome::Died {
        worker: WorkerId(1),
        attempt: Attempt(1),
    };
    let orders = [complete(2, outcome), gone(1, Departure::Died), spawn(2, 0)];
    hand.expect(exited(1, [2]), orders);
}

#[test]
fn the_higher_priority_goes_first_and_a_task_that_comes_back_keeps_it() {
    let high = TaskOptions {
        priority: 2,
        ..TaskOptions::default()
    };
    let mut hand = Hand::busy(config(1));
    hand.feed(submitted(3));
    hand.feed(wished(4, high));
    let answer = |task| {
        complete(
            task,
            Outcome::Answered {
                worker: WorkerId(1),
            },
        )
    };
    hand.expect(finished(1, 2, 1), [answer(2), send(1, 4, 1)]);
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(2, 0)]);
    hand.feed(spawned(2));
    hand.expect(ready(2), [send(2, 4, 2)]);
}

#[test]
fn a_slow_task_is_told_of_once() {
    let slow = TaskOptions {
        slow_after_ns: Some(60),
        ..TaskOptions::default()
    };
    let mut hand = Hand::warm(config(1));
    hand.expect(wished(2, slow), [send(1, 2, 1), arm(60)]);
    hand.now_ns = 65;
    hand.expect(Event::TimerFired, [inspect(1, 2)]);
    let told = Effect::TellSlow {
        task: TaskId(2),
        worker: WorkerId(1),
        ran_ns: 65,
    };
    hand.expect(inspected(1, 2, Some(0)), [told]);
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_counts_as_dead() {
    let mut hand = Hand::new(Config {
        start_timeout_ns: Some(80),
        ..config(1)
    });
    hand.feed(submitted(1));
    hand.expect(spawned(1), [arm(80)]);
    hand.now_ns = 80;
    hand.expect(Event::TimerFired, [kill_for(1, KillReason::NotReady)]);
    hand.expect(exited(1, []), [gone(1, Departure::Died), spawn(2, 0)]);
}

#[test]
fn a_worker_that_is_ready_in_time_is_left_alone() {
    let mut hand = Hand::new(Config {
        start_timeout_ns: Some(80),
        ..config(1)
    });
    hand.feed(submitted(1));
    hand.feed(spawned(1));
    hand.expect(ready(1), [send(1, 1, 1)]);
    hand.now_ns = 80;
    hand.expect(Event::TimerFired, []);
}
