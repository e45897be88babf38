//! Pools in both launchers, gates at which tasks wait, and waits that turn a hang into a failure.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use loky::{Builder, Error, Launcher, ProcessPoolExecutor, TaskFuture};
use serde::de::DeserializeOwned;

/// Far more than anything here takes; whoever waits longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How the pools of a run are made.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub launcher: Launcher,
}

impl Setting {
    pub const ALL: [Self; 2] = [
        Self {
            launcher: Launcher::Fork,
        },
        Self {
            launcher: Launcher::Exec,
        },
    ];

    pub fn name(self) -> &'static str {
        match self.launcher {
            Launcher::Fork => "fork",
            Launcher::Exec => "exec",
        }
    }

    pub fn builder(self, workers: usize) -> Builder {
        ProcessPoolExecutor::builder()
            .workers(workers)
            .launcher(self.launcher)
    }

    pub fn pool(self, workers: usize) -> ProcessPoolExecutor {
        self.builder(workers).build().unwrap()
    }
}

/// A place at which tasks tell that they have begun, and wait.
pub struct Gate {
    path: PathBuf,
    listener: UnixListener,
}

/// A task that waits at a gate. It goes on when this is dropped.
pub struct Waiting {
    pub pid: i32,
    _stream: UnixStream,
}

impl Gate {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("loky-gate-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A left-over of a process that had the same number.
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).unwrap();
        Self { path, listener }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Waits for a task to come.
    pub fn arrival(&self) -> Waiting {
        self.listener.set_nonblocking(true).unwrap();
        let (stream, _) = until(|| self.listener.accept().ok());
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut pid = [0; 4];
        (&stream).read_exact(&mut pid).unwrap();
        Waiting {
            pid: i32::from_le_bytes(pid),
            _stream: stream,
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "nothing came for {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// The end of a task.
pub fn end<T: DeserializeOwned>(future: &TaskFuture<T>) -> Result<T, Error> {
    let end = future.wait_timeout(PATIENCE);
    assert!(
        !matches!(end, Err(Error::WaitTimeout)),
        "{} does not end",
        future.task()
    );
    end
}

/// The value of a task.
pub fn value<T: DeserializeOwned>(future: &TaskFuture<T>) -> T {
    end(future).unwrap()
}

/// Whether a process is there, and no zombie.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// The process that makes the workers: the one child of this one.
pub fn zygote_pid() -> i32 {
    let children = loky_sys::process::children_of_self().unwrap();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

/// The descriptors that are open here.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
