//! The harness under the stories of `tests/it`: the binary in a folder of its own, and the real peers that it meets.
//!
//! Entry points: [`Cairn`], a folder in which commands are run as a user would; [`postgres`], [`cluster`] and
//! [`python`], which bring up what the stories need. Nothing here knows how Cairn works inside.

pub mod bucket;
pub mod cairn;
pub mod cluster;
pub mod door;
pub mod http;
pub mod mlflow;
pub mod postgres;
pub mod python;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use bucket::Bucket;
pub use cairn::{Cairn, Output, Running};
pub use cluster::Cluster;
pub use door::{Door, Mode};
pub use mlflow::Mlflow;

/// How long a story waits for something before it gives up: what takes seconds takes a minute on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The folder of the workspace.
///
/// # Panics
/// Never: this crate lies in it.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

/// The folder that this build writes to, such as `target/debug`.
///
/// # Panics
/// If the test program has been moved away from where cargo put it.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().expect("this program has a file");
    own.ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(Path::parent)
        .expect("built by cargo")
        .into()
}

/// Says that a story is passed over, and what would let it run. Written past what the test program captures, which is
/// shown of stories that fail alone.
pub fn skipped(why: &str) {
    // If nobody can be told, the story is passed over all the same.
    writeln!(std::io::stderr(), "SKIPPED: {why}").ok();
}

/// Waits for a state of the world; panics with `what` if it does not come.
///
/// # Panics
/// If it is not so after [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
