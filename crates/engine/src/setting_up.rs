//! How the owner of a pool describes the surroundings of its workers.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use loky_core::event::Event;
use loky_sys::memory;
use loky_wire::encode_environment;

use crate::error::EngineError;
use crate::launcher::Setup;
use crate::pool::{Pool, start_loop};
use crate::state::Phase;

impl Pool {
    /// Has all workers that are missing started, as a task would.
    pub fn want_workers(&self) -> Result<(), EngineError> {
        self.change(|shared, state| {
            if state.core.accepts() {
                start_loop(shared, state)?;
                state.feed(Event::WorkersWanted);
            }
            Ok(())
        })
    }

    /// Whether workers wait for a description of their surroundings.
    pub fn setup_wanted(&self) -> bool {
        self.is_own() && self.shared.lock().setup.asked
    }

    /// Whether workers have been wanted that have no process yet.
    pub fn is_spawning(&self) -> bool {
        self.is_own() && self.shared.spawning.load(Ordering::SeqCst)
    }

    /// Describes the surroundings of the workers that are about to be made.
    ///
    /// Where the description cannot be put into a memory file, the workers could not be made and are
    /// tried again as the core decides.
    ///
    /// Where `environment` is not empty, the workers are executed with it instead of being forked:
    /// it differs from that of the zygote in what only a fresh program can take on, such as the
    /// loader's and the interpreter's variables.
    pub fn provide_setup(
        &self,
        blob: &[u8],
        extra: Vec<(OwnedFd, i32)>,
        environment: &[(OsString, OsString)],
    ) -> Result<(), EngineError> {
        let file = match memory::memfd_of(c"loky-setup", blob) {
            Ok(file) => file,
            Err(error) => return self.setup_lacks(error.raw_os_error().unwrap_or(0)),
        };
        let len = u32::try_from(blob.len()).map_err(|_| EngineError::Config {
            name: "setup",
            must: "smaller than 4 GiB",
        })?;
        let extra = extra
            .into_iter()
            .map(|(descriptor, target)| (Arc::new(descriptor), target))
            .collect();
        let setup = Setup {
            file: Arc::new(file),
            len,
            extra,
            environment: encode_environment(
                environment
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            ),
        };
        self.change(|_, state| {
            if state.phase != Phase::Open {
                return Ok(());
            }
            state.order_workers(&setup);
            state.setup.last = Some(setup);
            state.feed_pending();
            Ok(())
        })
    }

    /// Says that the surroundings cannot be described for the moment, for lack of a resource: the
    /// workers that wait for it could not be made, and are tried again as the core decides.
    pub fn setup_lacks(&self, errno: i32) -> Result<(), EngineError> {
        self.change(|_, state| {
            state.fail_waiting(errno);
            state.feed_pending();
            Ok(())
        })
    }

    /// Says that the surroundings cannot be described; the pool breaks.
    pub fn setup_failed(&self) -> Result<(), EngineError> {
        self.change(|_, state| {
            state.setup.waiting.clear();
            state.setup.asked = false;
            state.setup.give_up_at_ns = None;
            state.feed(Event::SetupFailed);
            Ok(())
        })
    }
}
