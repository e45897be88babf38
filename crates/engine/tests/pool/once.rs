//! Large bytes that tasks have in common: moved once, never stale, apart in every task.

use std::sync::Arc;
use std::time::Duration;

use loky_engine::front::{Buffer, TaskEnd, TaskPayload};
use loky_engine::{ShutdownMode, TaskId};

use crate::Test;
use crate::owner::{Owner, Setting, name};

pub const TESTS: &[Test] = &[
    ("a_buffer_is_copied_once", a_buffer_is_copied_once),
    ("a_changed_byte_is_sent", a_changed_byte_is_sent),
    (
        "equal_buffers_share_no_memory",
        equal_buffers_share_no_memory,
    ),
    (
        "a_stream_is_joined_from_pieces",
        a_stream_is_joined_from_pieces,
    ),
    (
        "waiting_tasks_share_one_object",
        waiting_tasks_share_one_object,
    ),
    (
        "what_is_found_for_one_is_found_for_all_that_wait",
        what_is_found_for_one_is_found_for_all_that_wait,
    ),
    ("a_death_costs_no_copy", a_death_costs_no_copy),
    ("more_buffers_than_segments", more_buffers_than_segments),
    ("workers_are_told_to_forget", workers_are_told_to_forget),
];

const LEN: usize = 300_000;

/// Bytes that cannot change.
struct Constant(Arc<Vec<u8>>);

impl Buffer for Constant {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn is_constant(&self) -> bool {
        true
    }
}

fn submit_constants(owner: &mut Owner, words: &str, constants: &[&Arc<Vec<u8>>]) -> TaskId {
    let buffers = constants
        .iter()
        .map(|constant| Box::new(Constant(Arc::clone(constant))) as Box<dyn Buffer>);
    let payload = TaskPayload {
        stream: words.as_bytes().to_vec(),
        buffers: buffers.collect(),
    };
    let task = owner.pool.submit(payload).unwrap();
    owner.answer_setup();
    task
}

fn buffers_of(owner: &mut Owner, task: TaskId) -> Vec<Vec<u8>> {
    match owner.end(task) {
        TaskEnd::Value(answer) => answer
            .buffers
            .iter()
            .map(|view| view.as_bytes().to_vec())
            .collect(),
        other => panic!("{}", name(&other)),
    }
}

fn a_buffer_is_copied_once(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let bytes = vec![5; LEN];
    let tasks: Vec<TaskId> = (0..40)
        .map(|_| owner.submit_with("echo", vec![bytes.clone(), vec![6; 40_000]]))
        .collect();
    for task in tasks {
        assert_eq!(
            buffers_of(&mut owner, task),
            [bytes.clone(), vec![6; 40_000]]
        );
    }
    let traffic = owner.pool.tally().unwrap();
    assert_eq!(traffic.copied_bytes, LEN as u64 + 40 * 40_000);
    assert_eq!(traffic.recognised_bytes, 39 * LEN as u64);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_changed_byte_is_sent(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let mut bytes = vec![0; LEN];
    let changes: Vec<(TaskId, Vec<u8>)> = (0..30)
        .map(|change| {
            bytes[LEN / 2 + 1 + change * 7] ^= 1;
            (
                owner.submit_with("echo", vec![bytes.clone()]),
                bytes.clone(),
            )
        })
        .collect();
    for (task, sent) in changes {
        assert_eq!(buffers_of(&mut owner, task), [sent]);
    }
    assert_eq!(owner.pool.tally().unwrap().recognised_bytes, 0);
    owner.shut_down(ShutdownMode::Drain);
}

fn equal_buffers_share_no_memory(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let bytes = vec![3; LEN];
    for _ in 0..6 {
        let task = owner.submit_with("overwrite", vec![bytes.clone(), bytes.clone()]);
        assert_eq!(buffers_of(&mut owner, task), vec![bytes.clone()]);
    }
    let traffic = owner.pool.tally().unwrap();
    assert_eq!(
        traffic.copied_bytes,
        2 * LEN as u64,
        "scribbling changes nothing"
    );
    owner.shut_down(ShutdownMode::Drain);
}

fn a_stream_is_joined_from_pieces(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    // Numbers that follow each other repeat nothing.
    let numbers: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let body = numbers.join(" ");
    let words = |index: usize| {
        let (before, behind) = (index * index, "y".repeat(index % 3));
        format!("echo {before} {body} {behind} {index}")
    };
    let tasks: Vec<TaskId> = (0..50).map(|index| owner.submit(&words(index))).collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let TaskEnd::Value(answer) = owner.end(task) else {
            panic!("no value")
        };
        let stream = match &answer.stream {
            loky_engine::answer::AnswerStream::InSegment(view) => view.as_bytes().to_vec(),
            loky_engine::answer::AnswerStream::Inline(_) => panic!("it came inline"),
        };
        assert_eq!(stream, words(index).into_bytes());
    }
    let traffic = owner.pool.tally().unwrap();
    let len = body.len() as u64;
    assert!(traffic.copied_bytes < len + 100, "{traffic:?}");
    assert!(traffic.recognised_bytes > 49 * len - 100, "{traffic:?}");
    owner.shut_down(ShutdownMode::Drain);
}

fn waiting_tasks_share_one_object(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let hanging = owner.submit("hang");
    owner.sign();
    let object = Arc::new(vec![8; LEN]);
    let copies: Vec<Arc<Vec<u8>>> = (0..50).map(|_| Arc::new(object.to_vec())).collect();
    for copy in &copies {
        submit_constants(&mut owner, "len", &[copy]);
    }
    let same = submit_constants(&mut owner, "len", &[&object, &copies[0]]);
    // One of the copies is kept, the others are not.
    let is_held = |copy: &&Arc<Vec<u8>>| Arc::strong_count(copy) > 1;
    owner.pump(|_| copies.iter().filter(is_held).count() == 1);
    assert!(owner.pool.cancel_by_force(hanging, Duration::ZERO).unwrap());
    assert_eq!(owner.value(same), (2 * LEN).to_string());
    owner.pump(|_| Arc::strong_count(&object) == 1);
    let hanging = owner.submit("hang");
    owner.sign();
    let again = submit_constants(&mut owner, "len", &[&object]);
    assert_eq!(Arc::strong_count(&object), 2, "it is held again");
    submit_constants(&mut owner, "len", &[&object]);
    owner.pump(|_| Arc::strong_count(&object) == 2);
    assert!(owner.pool.cancel_by_force(hanging, Duration::ZERO).unwrap());
    assert_eq!(owner.value(again), LEN.to_string());
    assert_eq!(owner.pool.tally().unwrap().copied_bytes, LEN as u64);
    owner.shut_down(ShutdownMode::Drain);
    assert!(copies.iter().all(|copy| Arc::strong_count(copy) == 1));
}

/// Memory that may change, as far as the engine knows.
struct Memory(Arc<Vec<u8>>);

impl Buffer for Memory {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn what_is_found_for_one_is_found_for_all_that_wait(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let memory = Arc::new(vec![4; LEN]);
    let submit = |owner: &mut Owner| {
        let payload = TaskPayload {
            stream: b"len".to_vec(),
            buffers: vec![Box::new(Memory(Arc::clone(&memory)))],
        };
        owner.pool.submit(payload).unwrap()
    };
    let first = owner.submit("hang");
    owner.sign();
    let mut tasks: Vec<TaskId> = (0..6).map(|_| submit(&mut owner)).collect();
    let second = owner.submit("hang");
    tasks.extend((0..50).map(|_| submit(&mut owner)));
    assert!(
        Arc::strong_count(&memory) > 50,
        "they hold it while they wait"
    );
    assert!(owner.pool.cancel_by_force(first, Duration::ZERO).unwrap());
    owner.sign();
    // The second hangs, and those behind it have not been handed out.
    owner.pump(|_| Arc::strong_count(&memory) == 1);
    assert!(owner.pool.cancel_by_force(second, Duration::ZERO).unwrap());
    for task in tasks {
        assert_eq!(owner.value(task), LEN.to_string());
    }
    assert_eq!(owner.pool.tally().unwrap().copied_bytes, LEN as u64);
    owner.shut_down(ShutdownMode::Drain);
}

fn a_death_costs_no_copy(setting: Setting) {
    let mut owner = Owner::new(setting, 2);
    let object = Arc::new(vec![9; LEN]);
    let mut tasks = Vec::new();
    let mut dying = Vec::new();
    for round in 0..30 {
        if round % 10 == 5 {
            dying.push(owner.submit("exit 3"));
        }
        tasks.push(submit_constants(&mut owner, "len", &[&object]));
    }
    for task in dying {
        assert_eq!(name(&owner.end(task)), "died");
    }
    for task in tasks {
        assert_eq!(owner.value(task), LEN.to_string());
    }
    assert_eq!(owner.pool.tally().unwrap().copied_bytes, LEN as u64);
    owner.shut_down(ShutdownMode::Drain);
}

fn more_buffers_than_segments(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let buffers: Vec<Vec<u8>> = (0..100_u8).map(|fill| vec![fill; 70_000]).collect();
    // Each is brought into a segment of its own first.
    for buffer in &buffers {
        let task = owner.submit_with("len", vec![buffer.clone()]);
        assert_eq!(owner.value(task), "70000");
    }
    for _ in 0..2 {
        let task = owner.submit_with("echo", buffers.clone());
        assert_eq!(buffers_of(&mut owner, task), buffers);
    }
    owner.shut_down(ShutdownMode::Drain);
}

fn workers_are_told_to_forget(setting: Setting) {
    let mut owner = Owner::new(setting, 1);
    let task = owner.submit("pid");
    assert_eq!(name(&owner.end(task)), "value");
    owner.pool.forget(b"a name").unwrap();
    assert_eq!(owner.sign(), b'f');
    let task = owner.submit("pid");
    assert_eq!(name(&owner.end(task)), "value");
    owner.shut_down(ShutdownMode::Drain);
}
