//! This program as the owner of a pool that a test kills.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::stage::{Setting, value};
use crate::tasks::{pid, wait_at};

/// The first word of its command line.
pub const ROLE: &str = "owner";

/// A process with a pool: two workers, one of which waits at a gate.
pub struct OwnerProcess {
    pub child: Child,
    /// All processes below it.
    pub family: Vec<i32>,
}

impl OwnerProcess {
    pub fn start(setting: Setting, gate: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([ROLE, setting.name(), gate])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let family = lines.next().unwrap().unwrap();
        Self {
            child,
            family: family
                .split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect(),
        }
    }
}

/// Plays the owner: tells its family, and waits for its end.
pub fn play(words: &[String]) {
    let setting = Setting::ALL
        .into_iter()
        .find(|setting| setting.name() == words[0]);
    let pool = setting.unwrap().pool(2);
    let waiting = pool.submit(wait_at::call(words[1].clone())).unwrap();
    value(&pool.submit(pid::call()).unwrap());
    let zygote = loky_sys::process::children_of_self().unwrap();
    let workers = pool.workers().into_iter().map(|worker| worker.pid);
    let family: Vec<String> = zygote
        .into_iter()
        .chain(workers)
        .map(|pid| pid.to_string())
        .collect();
    println!("{}", family.join(" "));
    value(&waiting);
}
