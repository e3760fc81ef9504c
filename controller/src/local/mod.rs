//! Trials as processes of this machine.
//!
//! Each run has a folder and a supervisor of its own ([`supervisor`]), which outlives the controller: a controller that
//! comes back finds its runs by their folders and adopts them. Everything that two processes say to each other here
//! they say by files ([`files`]) and file locks.

mod artifacts;
mod capacity;
mod checkpoints;
mod collect;
mod executor;
mod files;
mod identity;
mod launch;
mod logs;
mod observe;
mod pool;
mod prepare;
mod processes;
mod slots;
pub(crate) mod supervisor;
mod watcher;

#[cfg(test)]
mod tests;

pub(crate) use self::artifacts::run_folder;
pub(crate) use executor::{LocalConfig, LocalExecutor};
pub(crate) use identity::Identity;
pub(crate) use observe::{InProcess, StoreSink};
