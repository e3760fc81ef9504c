//! `cairn serve`

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::serve::{ListenerExt as _, TapIo};
use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::{Exit, Wrong};
use super::output::talk;
use super::{Common, cluster};
use crate::api::auth::{Guard, Token, guarded};
use crate::api::{Api, grpc, http};
use crate::config::Config;
use crate::{Engine, driver};

/// How long open answers have when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Drive all experiments, and serve gRPC and HTTP on one address
///
/// Running trials survive the server and are found again when it comes back. Without a token only this machine is
/// served. With --kubernetes experiments are the Experiment resources of a cluster, and trials run there.
///
/// Example: cairn serve --listen 0.0.0.0:7700 --token-file token
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address of gRPC and HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7700")]
    listen: String,
    /// A name under which this server is reached, beside its addresses
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    #[command(flatten)]
    cluster: cluster::Serving,
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let token = common.token_file.as_deref().map(Token::read).transpose()?.map(|(token, _)| token);
        let address: SocketAddr = address(&self.listen).await?;
        // Refused before the port is taken.
        Guard::new(address, token.clone(), Vec::new())?;
        let listener = listen(&self.listen).await?;
        let address = listener.local_addr()?;
        let config = common.config(Some(format!("http://{address}")))?;
        let mut engine = Engine::open(&Config { kubernetes: self.cluster.options(), ..config }).await?;
        let router = door(&engine.api, address, token, self.allow_host).await?;
        let (shutdown, down) = watch::channel(false);
        let mut http_down = down.clone();
        let ended = async move {
            // An error means that the sender is gone: shut down too.
            http_down.changed().await.ok();
        };
        let served = axum::serve(prompt(listener), router).with_graceful_shutdown(ended);
        let driven = driver::drive_all(&engine.api.world, down);
        let reconciler = engine.reconciler.take();
        let reconciled = async {
            match reconciler {
                Some(reconciler) => reconciler.run().await,
                None => std::future::pending().await,
            }
        };
        let signalled = async {
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            talk("shutting down; running trials go on and are found again");
            shutdown.send_replace(true);
            tokio::time::sleep(FAREWELL).await;
            Ok::<_, std::io::Error>(())
        };
        talk(&format!("serving on http://{address}"));
        tokio::select! {
            result = async { tokio::join!(served, driven).0 } => result.context("cannot serve")?,
            result = signalled => result?,
            () = reconciled => {}
        }
        Ok(Exit::Done)
    }
}

async fn address(text: &str) -> anyhow::Result<SocketAddr> {
    let wrong = |why: String| Wrong(format!("--listen `{text}` is no address such as 127.0.0.1:7700{why}"));
    let mut found = tokio::net::lookup_host(text).await.map_err(|error| wrong(format!(": {error}")))?;
    Ok(found.next().ok_or_else(|| wrong(String::new()))?)
}

/// Takes an address.
pub(super) async fn listen(text: &str) -> anyhow::Result<TcpListener> {
    let address = address(text).await?;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with --listen"))
}

/// The listener with connections that send what they have at once: a gRPC answer is several small writes, and the last
/// would wait for an acknowledgement of the first.
pub(super) fn prompt(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    listener.tap_io(|connection| {
        // One that cannot be set is slower, no worse.
        connection.set_nodelay(true).ok();
    })
}

/// HTTP and gRPC of an engine behind one guard.
pub(super) async fn door(
    api: &Api,
    address: SocketAddr,
    token: Option<Token>,
    hosts: Vec<String>,
) -> anyhow::Result<Router> {
    let guard = Guard::new(address, token, hosts)?;
    let router = http::with_grpc(http::router(api.clone()), grpc::router(api.clone()).await);
    Ok(guarded(router, guard))
}
