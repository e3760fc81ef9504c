//! `cairn serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::serve::{ListenerExt as _, TapIo};
use clap::Args;
use controller_core::ports::Reporters;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::{Exit, Wrong};
use super::lead::{self, Lead};
use super::output::talk;
use super::{Common, cluster, doors};
use crate::Engine;
use crate::api::auth::{Guard, Token, guarded};
use crate::api::{Api, grpc, http};
use crate::config::Config;

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
    #[command(flatten)]
    doors: doors::Doors,
}

impl Serve {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let token = common.token_file.as_deref().map(Token::read).transpose()?.map(|(token, _)| token);
        let address: SocketAddr = address("--listen", &self.listen).await?;
        let kubernetes = self.cluster.options();
        let token = match token {
            Some(token) => Some(token),
            None => lead::token(kubernetes.as_ref(), address).await?,
        };
        // Refused before the port is taken.
        Guard::new(address, token.clone(), Vec::new())?;
        let listener = listen("--listen", &self.listen).await?;
        let address = listener.local_addr()?;
        let home = match &kubernetes {
            Some(options) => options.home().await?,
            None => String::new(),
        };
        let sidecar = self.doors.told(self.cluster.sidecar(), &home)?;
        let store = self.cluster.store(common.store.as_deref()).await?;
        let config = common.config(Some(format!("http://{address}")))?;
        let engine = Engine::open(&Config {
            kubernetes,
            store,
            quota: self.cluster.quota(),
            sidecar: sidecar.clone(),
            ..config
        })
        .await?;
        let doors = self.doors.open(&engine, &sidecar).await?;
        let lead = Lead::new(engine.reconciler, engine.leadership);
        let router = door(&engine.api, address, token, self.allow_host, engine.reporters).await?;
        let router = lead.shown(router);
        let (shutdown, down) = watch::channel(false);
        let mut http_down = down.clone();
        let ended = async move {
            // An error means that the sender is gone: shut down too.
            http_down.changed().await.ok();
        };
        let served = axum::serve(prompt(listener), router).with_graceful_shutdown(ended);
        let served = async { served.await.context("cannot serve") };
        let worked = async { lead.work(&engine.api.world, down).await.context("this Cairn leads no more") };
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
            result = async { tokio::try_join!(served, worked) } => drop(result?),
            result = signalled => result?,
            result = doors => result?,
        }
        Ok(Exit::Done)
    }
}

pub(super) async fn address(flag: &str, text: &str) -> anyhow::Result<SocketAddr> {
    let wrong = |why: String| Wrong(format!("{flag} `{text}` is no address such as 127.0.0.1:7700{why}"));
    let mut found = tokio::net::lookup_host(text).await.map_err(|error| wrong(format!(": {error}")))?;
    Ok(found.next().ok_or_else(|| wrong(String::new()))?)
}

/// Takes an address.
pub(super) async fn listen(flag: &str, text: &str) -> anyhow::Result<TcpListener> {
    let address = address(flag, text).await?;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another with {flag}"))
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
    reporters: Option<Arc<dyn Reporters>>,
) -> anyhow::Result<Router> {
    let mut guard = Guard::new(address, token, hosts)?;
    if reporters.is_some() {
        guard = grpc::OF_SIDECARS.into_iter().fold(guard, Guard::leave);
    }
    let router = http::with_grpc(http::router(api.clone()), grpc::router(api.clone(), reporters).await);
    Ok(guarded(router, guard))
}
