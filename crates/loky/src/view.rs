//! A pool as seen by those who ask for more than a result.
//!
//! Owned by whoever made it; it keeps the pool open as any handle does. It decides nothing.

use std::sync::Arc;

use crate::error::Error;
use crate::executor::ProcessPoolExecutor;
use crate::future::TaskFuture;
use crate::map::Map;
use crate::options::{Prepared, Refusal, TaskOptions};
use crate::task::TaskCall;

/// A pool, and options for the tasks that are submitted through this view of it: what
/// [`ProcessPoolExecutor::options`] gives.
#[derive(Clone)]
#[must_use = "a view does nothing until tasks are submitted through it"]
pub struct WithOptions {
    pool: ProcessPoolExecutor,
    options: TaskOptions,
    prepared: Result<Arc<Prepared>, Refusal>,
}

impl WithOptions {
    pub(crate) fn new(pool: ProcessPoolExecutor, options: TaskOptions) -> Self {
        let options = options.or(pool.defaults());
        let prepared = options.prepared(pool.has_listener()).map(Arc::new);
        Self {
            pool,
            options,
            prepared,
        }
    }

    /// As [`ProcessPoolExecutor::submit`].
    ///
    /// # Errors
    /// [`Config`](Error::Config) with the name of an option that cannot be as it is, and all errors of
    /// `ProcessPoolExecutor::submit`.
    pub fn submit<C: TaskCall>(&self, call: C) -> Result<TaskFuture<C::Output>, Error> {
        match &self.prepared {
            Ok(prepared) => self.pool.submit_prepared(call, prepared),
            Err(refusal) => Err((*refusal).into()),
        }
    }

    /// Hands several calls over at once.
    pub(crate) fn submit_many<C: TaskCall>(
        &self,
        calls: Vec<C>,
    ) -> Vec<Result<TaskFuture<C::Output>, Error>> {
        match &self.prepared {
            Ok(prepared) => self.pool.submit_many(calls, prepared),
            Err(refusal) => calls.iter().map(|_| Err((*refusal).into())).collect(),
        }
    }

    /// As [`ProcessPoolExecutor::map`].
    pub fn map<I>(&self, calls: I) -> Map<I::IntoIter>
    where
        I: IntoIterator,
        I::Item: TaskCall,
    {
        Map::new(self.clone(), calls.into_iter())
    }

    /// A view with these options as well; where both say something, these count.
    pub fn options(&self, options: TaskOptions) -> Self {
        Self::new(self.pool.clone(), options.or(&self.options))
    }

    /// The pool that is seen.
    pub fn pool(&self) -> &ProcessPoolExecutor {
        &self.pool
    }
}

impl std::fmt::Debug for WithOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WithOptions")
            .field("pool", &self.pool)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
