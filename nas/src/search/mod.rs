//! Samplers over any set of architectures: what counts as one architecture is tried once.

mod bananas;
mod evolution;
mod kernel;
mod local;
mod random;
pub(crate) mod record;
mod spread;
#[cfg(test)]
mod tests;

pub use bananas::Bananas;
pub use evolution::RegularizedEvolution;
pub use local::LocalSearch;
pub use random::RandomSearch;
