//! The suggestion service: `cairn.v1.Search` over a registry of algorithms, and Katib's services in front of the same.
//!
//! It proposes and judges; it runs nothing and stores nothing. What it holds between calls is a cache that any caller
//! can fill again. Entry points: [`routes`], [`serve`], [`in_process`], and [`registry`] for what there is.

mod build;
pub mod convert;
mod katib;
pub mod registry;
mod server;
mod service;
mod session;

pub use build::build;
pub use katib::{EarlyStoppingService, SuggestionService, TrialStatus};
pub use server::{SearchLine, in_process, routes, serve};
pub use service::SearchService;
pub use session::learner;
