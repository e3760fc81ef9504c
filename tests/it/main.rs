//! Stories: what a user does, and what a user then sees. One program for all, so that all share its peers.

mod api;
mod cli;
mod client;
mod crash;
mod examples;
mod katib;
mod quickstart;
mod tidy;
