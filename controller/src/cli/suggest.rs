//! `cairn suggest`

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;
use super::output::talk;
use super::serve;
use crate::api::{grpc, http};

/// Serve the suggestion services alone: Cairn's own and Katib's
///
/// It runs nothing and keeps nothing, so it may be reached from anywhere: as the suggestion image of a Katib
/// controller, or with Python's `cairn.Study` for ask and tell.
///
/// Example: cairn suggest --listen 0.0.0.0:6789
#[derive(Debug, Args)]
pub(super) struct Suggest {
    /// Address of gRPC and HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6789")]
    listen: String,
}

impl Suggest {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let listener = serve::listen("--listen", &self.listen).await?;
        talk(&format!("serving suggestions on {}", listener.local_addr()?));
        let router = http::with_grpc(http::search_router(), grpc::search_router().await);
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let ended = async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        axum::serve(serve::prompt(listener), router).with_graceful_shutdown(ended).await?;
        Ok(Exit::Done)
    }
}
