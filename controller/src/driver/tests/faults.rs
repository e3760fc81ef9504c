//! Numbered points at which a driver can be broken off.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use tokio::sync::Notify;

/// Counts the points that a driver passes, and holds it forever at one of them.
#[derive(Default)]
pub(super) struct Faults {
    passed: AtomicU64,
    at: AtomicU64,
    broken_off: Notify,
}

impl Faults {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { at: AtomicU64::new(u64::MAX), ..Self::default() })
    }

    /// From now on the driver is broken off at the nth point it passes; the first is 1.
    pub(super) fn break_off_after(&self, n: u64) {
        self.at.store(self.passed.load(Ordering::SeqCst) + n, Ordering::SeqCst);
    }

    /// From now on it is left alone.
    pub(super) fn spare(&self) {
        self.at.store(u64::MAX, Ordering::SeqCst);
    }

    /// Passes a point; does not return from the one at which the driver is broken off.
    pub(super) async fn point(&self) {
        let n = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if n == self.at.load(Ordering::SeqCst) {
            self.broken_off.notify_one();
            pending::<()>().await;
        }
    }

    /// Returns once the driver stands where it is to be broken off.
    pub(super) async fn reached(&self) {
        self.broken_off.notified().await;
    }
}

/// Waits for something real, such as a database, which goes on whether or not anybody waits. A paused clock moves on
/// while nothing is at work in this runtime, so something is: a thread that waits as well.
#[expect(clippy::disallowed_methods, reason = "a database does not break off with those who ask it")]
pub(super) async fn real<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let held = tokio::task::spawn_blocking(move || wait.recv().is_err());
    let work = tokio::spawn(async move {
        let result = work.await;
        drop(done);
        held.await.unwrap();
        result
    });
    work.await.unwrap()
}
