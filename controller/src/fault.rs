//! Faults of this program: a panic ends the work in hand, not what it has locked.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use thiserror::Error;

/// A panic, and what it said.
#[derive(Debug, Error)]
#[error("a fault of this program, which is worth a report: {0}")]
pub(crate) struct Fault(String);

impl Fault {
    fn of(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    }
}

/// Does work whose panic is an error as any other, so that whoever holds something for it can give that back. What the
/// work changed in memory is gone with it.
pub(crate) async fn caught<T, E: From<Fault>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(Fault::of(&*panic).into()))
}
