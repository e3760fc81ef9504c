//! `cairn logs`

use std::io::Write as _;

use clap::Args;
use futures::StreamExt as _;

use super::connect::Connection;
use super::exit::Exit;
use crate::api::client::encode;

/// Print what a trial has printed
///
/// Example: cairn logs digits 3 -f
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The experiment
    experiment: String,
    /// The trial, by name or number
    trial: String,
    /// Go on as it prints, until it has ended
    #[arg(short, long)]
    follow: bool,
    /// Which attempt; the newest without
    #[arg(long)]
    attempt: Option<u32>,
}

impl Logs {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let mut rest = format!("/trials/{}/logs?follow={}", encode(&self.trial), self.follow);
        if let Some(attempt) = self.attempt {
            rest.push_str(&format!("&attempt={attempt}"));
        }
        let mut chunks = connection.client.bytes(&connection.path(&self.experiment, &rest)).await?;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(anyhow::Error::msg)?;
            let mut out = std::io::stdout().lock();
            out.write_all(&chunk)?;
            out.flush()?;
        }
        Ok(Exit::Done)
    }
}
