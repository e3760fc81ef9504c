//! The suggestion service alone, as an image runs it.

use std::net::SocketAddr;

use anyhow::Context as _;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let listen = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:6789".into());
    let address: SocketAddr =
        listen.parse().with_context(|| format!("`{listen}` is no address such as 0.0.0.0:6789"))?;
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    suggest::serve(address, stop).await.with_context(|| format!("cannot serve on {address}"))
}
