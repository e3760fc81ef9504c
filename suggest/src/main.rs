//! The suggestion service alone, as an image runs it.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let listen = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:6789".into());
    let address: SocketAddr =
        listen.parse().with_context(|| format!("`{listen}` is no address such as 0.0.0.0:6789"))?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    suggest::serve(address, stop).await.with_context(|| format!("cannot serve on {address}"))
}
