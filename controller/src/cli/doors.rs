//! Further doors of `cairn serve --kubernetes`, each open only where it is asked for.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::Uri;
use clap::Args;
use controller_core::ports::Peers;
use controller_kube::certificates::{Certificates, Issued};
use controller_kube::inject::{Authorities, Settings};
use controller_kube::webhook::{Hooks, Reach, Webhooks, register, withdraw};
use controller_kube::{Cluster, Leadership, PodPeers};
use futures::future::{BoxFuture, select_all};
use tokio::sync::watch;

use super::exit::Wrong;
use super::output::talk;
use super::serve::listen;
use crate::Engine;
use crate::api::tls::TlsListener;
use crate::api::{grpc, webhooks};

/// The port of what sidecars speak.
const OBSERVE_PORT: u16 = 6790;

/// Doors for the cluster and its pods.
#[derive(Clone, Debug, Args)]
pub(super) struct Doors {
    /// Answer the cluster's webhooks here, by default on 0.0.0.0:8443, and tell it of them
    #[arg(long, env = "CAIRN_WEBHOOK_LISTEN", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0.0.0.0:8443", requires = "kubernetes", conflicts_with = "watch_namespace")]
    webhook_listen: Option<String>,
    /// Where the cluster finds the webhooks, such as `https://192.0.2.1:8443`, instead of behind the Service
    #[arg(long, env = "CAIRN_WEBHOOK_URL", value_name = "URL", requires = "webhook_listen")]
    webhook_url: Option<String>,
    /// Let sidecars report over TLS here, by default on 0.0.0.0:6790
    #[arg(long, env = "CAIRN_OBSERVE_LISTEN", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0.0.0.0:6790", requires = "kubernetes")]
    observe_listen: Option<String>,
    /// Where sidecars find that door [default: the Service]
    #[arg(long, env = "CAIRN_OBSERVE_URL", value_name = "URL", requires = "observe_listen")]
    observe_url: Option<String>,
    /// Serve Katib's DBManager to pods here, without TLS, by default on 0.0.0.0:6789
    #[arg(long, env = "CAIRN_MANAGER_LISTEN", value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0.0.0.0:6789", requires = "kubernetes")]
    manager_listen: Option<String>,
    /// Serve it to everybody, who may then read, write and delete what they like
    #[arg(long, env = "CAIRN_MANAGER_OPEN", requires = "manager_listen")]
    manager_open: bool,
    /// A further name or address that certificates are good for
    #[arg(long, env = "CAIRN_TLS_HOST", value_name = "HOST", value_delimiter = ',')]
    tls_host: Vec<String>,
    /// The Service in front of whichever server acts
    #[arg(long, env = "CAIRN_SERVICE", value_name = "NAME", default_value = "cairn")]
    service: String,
    /// The Service in front of all servers that answer webhooks
    #[arg(long, env = "CAIRN_WEBHOOK_SERVICE", value_name = "NAME", default_value = "cairn-webhooks")]
    webhook_service: String,
}

/// What is done for a door, for as long as it is open.
type Serving = BoxFuture<'static, anyhow::Result<()>>;

impl Doors {
    /// What sidecars are told, with the door that they report at; Cairn's own namespace is `home`.
    pub(super) fn told(&self, sidecar: Settings, home: &str) -> Result<Settings, Wrong> {
        let service = || format!("https://{}.{home}.svc:{OBSERVE_PORT}", self.service);
        let observe = self.observe_listen.as_ref().map(|_| self.observe_url.clone().unwrap_or_else(service));
        let sidecar = Settings { observe, webhook: self.webhook_listen.is_some(), ..sidecar };
        if sidecar.image.is_some() && !sidecar.has_sidecar() {
            let text =
                "--sidecar-image needs a door that sidecars report at: --observe-listen, or --pod-server URL";
            return Err(Wrong(text.into()));
        }
        Ok(sidecar)
    }

    /// Opens them; what is returned serves them, and never ends well.
    pub(super) async fn open(&self, engine: &Engine, sidecar: &Settings) -> anyhow::Result<Serving> {
        let Some(cluster) = &engine.cluster else { return Ok(Box::pin(pending())) };
        let mut serving = vec![endless(sidecar.katib_config.clone().keep(cluster.clone()))];
        if let Some(address) = &self.manager_listen {
            let peers = PodPeers::new(cluster.clone());
            let peers = (!self.manager_open).then(|| Arc::new(peers) as Arc<dyn Peers>);
            let router = grpc::manager_router(engine.api.clone(), peers).await;
            let listener = listen("--manager-listen", address).await?;
            talk(&format!("serving Katib's DBManager on {}", listener.local_addr()?));
            let router = router.into_make_service_with_connect_info::<SocketAddr>();
            serving.push(Box::pin(async move {
                axum::serve(listener, router).await.context("cannot serve Katib's DBManager")
            }));
        }
        let standing = engine.leadership.as_ref().map(Leadership::standing);
        if let (None, None, Some(standing)) = (&self.webhook_listen, cluster.namespace(), &standing) {
            serving.push(endless(withdraw(cluster.clone(), standing.clone())));
        }
        if self.webhook_listen.is_none() && self.observe_listen.is_none() {
            return Ok(first(serving));
        }
        let names = self.names(cluster.home())?;
        let clock = Arc::clone(&engine.api.world.clock);
        let certificates = Certificates::open(cluster, names, clock).await?;
        let issued = certificates.issued();
        sidecar.authorities.set(issued.borrow().authorities.clone());
        serving.push(Box::pin(tell(sidecar.authorities.clone(), issued.clone())));
        serving.push(endless(certificates.keep()));
        if let (Some(address), Some(reporters)) = (&self.observe_listen, &engine.reporters) {
            let router = grpc::observe_router(engine.api.clone(), Arc::clone(reporters));
            serving.push(secure("--observe-listen", address, router, issued.clone(), "sidecars").await?);
        }
        if let (Some(address), Some(standing)) = (&self.webhook_listen, standing) {
            let (store, door) = (Arc::clone(&engine.api.world.store), Arc::new(engine.api.clone()));
            let router = webhooks::router(Webhooks::new(cluster.clone(), store, door, sidecar.clone()));
            serving.push(secure("--webhook-listen", address, router, issued.clone(), "webhooks").await?);
            serving.push(endless(register(cluster.clone(), self.hooks(cluster, sidecar), issued, standing)));
        }
        Ok(first(serving))
    }

    fn hooks(&self, cluster: &Cluster, sidecar: &Settings) -> Hooks {
        let namespace = cluster.home().to_owned();
        let service = || Reach::Service { namespace: namespace.clone(), name: self.webhook_service.clone() };
        let reach = self.webhook_url.clone().map_or_else(service, Reach::Url);
        Hooks { reach, namespace, pods: sidecar.has_sidecar() }
    }

    /// All names that this server may be called by.
    fn names(&self, home: &str) -> Result<BTreeSet<String>, Wrong> {
        let mut names: BTreeSet<String> = self.tls_host.iter().cloned().collect();
        for service in [&self.service, &self.webhook_service] {
            names.insert(service.clone());
            names.extend(["", ".svc", ".svc.cluster.local"].map(|more| format!("{service}.{home}{more}")));
        }
        for url in [&self.webhook_url, &self.observe_url].into_iter().flatten() {
            let host = url.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
            let host =
                host.ok_or_else(|| Wrong(format!("`{url}` is no URL such as https://192.0.2.1:8443")))?;
            names.insert(host.trim_matches(['[', ']']).to_owned());
        }
        Ok(names)
    }
}

/// Work that ends with the server alone.
fn endless(work: impl Future<Output = ()> + Send + 'static) -> Serving {
    Box::pin(async move {
        work.await;
        Ok(())
    })
}

/// Serves over TLS.
async fn secure(
    flag: &str,
    address: &str,
    router: Router,
    issued: watch::Receiver<Issued>,
    what: &'static str,
) -> anyhow::Result<Serving> {
    let listener = listen(flag, address).await?;
    talk(&format!("serving {what} on https://{}", listener.local_addr()?));
    let listener = TlsListener::new(listener, issued)?;
    Ok(Box::pin(async move {
        axum::serve(listener, router).await.with_context(|| format!("cannot serve {what}"))
    }))
}

/// Tells sidecars to come of new authorities.
async fn tell(authorities: Authorities, mut issued: watch::Receiver<Issued>) -> anyhow::Result<()> {
    while issued.changed().await.is_ok() {
        authorities.set(issued.borrow_and_update().authorities.clone());
    }
    Ok(())
}

/// Serves all of them until one cannot be served any more.
fn first(serving: Vec<Serving>) -> Serving {
    Box::pin(async move { select_all(serving).await.0 })
}
