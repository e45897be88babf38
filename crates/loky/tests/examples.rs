//! Every example, run as a reader would run it.

use std::process::{Command, Stdio};

/// Runs an example, and gives what it wrote.
#[expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, also in what it calls"
)]
fn run(example: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "loky", "--example", example])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{example}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn broken_pool() {
    assert_says(
        &run("broken_pool"),
        &[
            "Task 4: 8",
            "Task 3 failed: The worker process that ran this task left without answering, with exit code 1.",
            "Process pool broken. Creating new executor...",
            "New executor created successfully: 42",
        ],
    );
}

#[test]
fn terminated_workers() {
    assert_says(
        &run("terminated_workers"),
        &[
            "Size 100M: Success (13107200)",
            "Size 1000M: Worker terminated",
            "was killed by SIGABRT",
            "Its cause, for programs: Signal(6)",
        ],
    );
}

#[test]
fn shutdown_errors() {
    assert_says(
        &run("shutdown_errors"),
        &[
            "Before shutdown: 10",
            "Cannot use shutdown executor: the pool has been shut down",
            "With new executor: 20",
        ],
    );
}

#[test]
fn timeouts() {
    assert_says(
        &run("timeouts"),
        &[
            "Task (100 ms, timeout 3000 ms): Completed after 100 ms",
            "Task (1500 ms, timeout 200 ms): Timed out",
            "Task (1500 ms, timeout 200 ms): Completed after 1500 ms, later",
        ],
    );
}

#[test]
fn cancellation() {
    assert_says(
        &run("cancellation"),
        &[
            "Could not cancel task 1 (already running)",
            "Task 3: Was cancelled",
            "Task 4: Task 4 result",
            "Cancelled 2 tasks",
        ],
    );
}

#[test]
fn comprehensive_recovery() {
    let text = run("comprehensive_recovery");
    assert_says(
        &text,
        &[
            "Task 0: Task 0: Success",
            "Intentional panic",
            "worker gone (left without answering, with exit code 1)",
            "task 4: timeout",
            "Task 8: Error: Task 8: Intentional error",
        ],
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("Task "))
            .count(),
        10
    );
}
