//! Real threads on one page for a while: what the model proves for a few steps, on the machine's
//! own memory and for many. `LOKY_STRESS_TASKS` is the number of tasks.
#![cfg(not(loom))]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use loky_shm::{AtomicWords, Ledger};
use loky_wire::{
    SlotState, Ticket,
    limits::{LEDGER_LEN, LEDGER_SLOTS},
};

fn tasks_wanted() -> u64 {
    match std::env::var("LOKY_STRESS_TASKS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 200_000,
    }
}

type Page = Arc<AtomicWords<Arc<[AtomicU64]>>>;

fn end_of(page: &Page) -> Ledger<Page> {
    Ledger::over(page.clone()).unwrap()
}

/// A number that any task number gives, so that a viewer can tell whether fields belong together.
fn attempt_of(task: u64) -> u32 {
    u32::try_from(task * 7 % 1000).unwrap() + 1
}

/// Claims what it is sent, and answers for what it was allowed to run.
fn work(ledger: &Ledger<Page>, tasks: &Receiver<(u64, Ticket)>, answers: &Sender<(u64, Ticket)>) {
    for (task, ticket) in tasks {
        if ledger.claim(ticket, task) {
            answers.send((task, ticket)).unwrap();
        }
    }
}

/// Looks at every slot over and over. Gives the number of running tasks it saw.
fn watch(ledger: &Ledger<Page>, over: &AtomicBool) -> u64 {
    let mut seen = 0;
    loop {
        let last = over.load(Ordering::Acquire);
        for slot in 0..LEDGER_SLOTS {
            let view = match ledger.view(slot) {
                Ok(view) => view,
                Err(loky_shm::ShmError::SlotUnsettled { .. }) => continue,
                Err(other) => panic!("{other}"),
            };
            match view.state {
                SlotState::Free => assert_eq!((view.task, view.started_ns), (0, 0)),
                SlotState::Queued | SlotState::Revoked => {
                    assert_eq!((view.attempt, view.started_ns), (attempt_of(view.task), 0));
                }
                SlotState::Running => {
                    let told = (view.attempt, view.started_ns);
                    assert_eq!(told, (attempt_of(view.task), view.task));
                    seen += 1;
                }
            }
        }
        if last {
            return seen;
        }
    }
}

/// The parent's side: keeps the slots full, and takes back the oldest of every few tasks.
struct Parent {
    ledger: Ledger<Page>,
    free: Vec<u16>,
    flying: VecDeque<(u64, Ticket)>,
    ran: Vec<u8>,
    revoked: Vec<u8>,
}

impl Parent {
    fn play(
        &mut self,
        wanted: u64,
        to_worker: &Sender<(u64, Ticket)>,
        answers: &Receiver<(u64, Ticket)>,
    ) {
        for task in 0..wanted {
            while self.free.is_empty() {
                let (task, ticket) = answers.recv().unwrap();
                self.answered(task, ticket);
            }
            let ticket = self.publish(task);
            if task % 7 == 0 {
                // Certain to be won, so that both ends are met whatever the scheduler does.
                self.revoke_at(self.flying.len() - 1);
            }
            to_worker.send((task, ticket)).unwrap();
            match task % 5 {
                0 => self.revoke_at(0),
                1 => self.revoke_at(self.flying.len().saturating_sub(1)),
                _ => {}
            }
        }
    }

    fn publish(&mut self, task: u64) -> Ticket {
        let slot = self.free.pop().unwrap();
        let ticket = self.ledger.publish(slot, task, attempt_of(task)).unwrap();
        self.flying.push_back((task, ticket));
        ticket
    }

    fn revoke_at(&mut self, at: usize) {
        if let Some(&(task, ticket)) = self.flying.get(at)
            && self.ledger.revoke(ticket)
        {
            self.flying.remove(at);
            self.revoked[usize::try_from(task).unwrap()] += 1;
            self.give_back(ticket);
        }
    }

    fn answered(&mut self, task: u64, ticket: Ticket) {
        self.flying.retain(|&(other, _)| other != task);
        self.ran[usize::try_from(task).unwrap()] += 1;
        self.give_back(ticket);
    }

    fn give_back(&mut self, ticket: Ticket) {
        self.ledger.release(ticket).unwrap();
        self.free.push(ticket.slot);
    }
}

#[test]
fn every_task_is_run_once_or_revoked_once_and_never_both() {
    let wanted = tasks_wanted();
    let words: Arc<[AtomicU64]> = (0..LEDGER_LEN / 8).map(|_| AtomicU64::new(0)).collect();
    let page = Arc::new(AtomicWords(words));
    let over = Arc::new(AtomicBool::new(false));
    let (to_worker, tasks) = channel();
    let (to_parent, answers) = channel();
    let worker = {
        let ledger = end_of(&page);
        thread::spawn(move || work(&ledger, &tasks, &to_parent))
    };
    let viewer = {
        let (ledger, over) = (end_of(&page), over.clone());
        thread::spawn(move || watch(&ledger, &over))
    };
    let count = usize::try_from(wanted).unwrap();
    let mut parent = Parent {
        ledger: end_of(&page),
        free: (0..LEDGER_SLOTS).collect(),
        flying: VecDeque::new(),
        ran: vec![0; count],
        revoked: vec![0; count],
    };
    parent.play(wanted, &to_worker, &answers);
    drop(to_worker);
    for (task, ticket) in answers {
        parent.answered(task, ticket);
    }
    worker.join().unwrap();
    over.store(true, Ordering::Release);
    viewer.join().unwrap();
    let both: Vec<u8> = parent
        .ran
        .iter()
        .zip(&parent.revoked)
        .map(|(a, b)| a + b)
        .collect();
    assert!(
        both.iter().all(|&ends| ends == 1),
        "each task ends exactly once"
    );
    assert!(
        parent.ran.contains(&1) && parent.revoked.contains(&1),
        "both ends were met"
    );
    assert!(parent.flying.is_empty());
    assert_eq!(parent.free.len(), usize::from(LEDGER_SLOTS));
}
