//! Stories: what a user does, and what a user then sees. One program for all, so that all share its peers.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod api;
mod artifacts;
mod bad_input;
mod cli;
mod client;
mod collectors;
mod crash;
mod examples;
mod fidelity;
mod katib;
mod kube;
mod metadata;
mod nas;
mod promotion;
mod quickstart;
mod router;
mod schedule;
mod serving;
mod sidecar;
mod story;
mod tidy;
mod watching;
