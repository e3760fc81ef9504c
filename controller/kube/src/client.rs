//! The way to a cluster: by a kubeconfig, or as a pod of it.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, NamespaceResourceScope, ObjectMeta};
use kube::discovery::pinned_kind;
use kube::{Client, Config, Resource, ResourceExt as _};
use serde_json::Value;
use thiserror::Error;

use crate::answer::{self, Doing};
use crate::resources::{GROUP, Kind, VERSION};

/// By whom fields are said to be managed.
pub(crate) const MANAGER: &str = "cairn";
/// What a cluster's log of requests says of who asks.
const AGENT: &str = concat!("cairn/", env!("CARGO_PKG_VERSION"));
/// How long a cluster may take to answer one question.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a cluster is found.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A kubeconfig; else `KUBECONFIG`, `~/.kube/config`, or the pod that this is.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it other than the current one.
    pub context: Option<String>,
    /// The only namespace to look at.
    pub namespace: Option<String>,
    /// The pod that this is, by name.
    pub pod: Option<String>,
    /// Cairn's own namespace, if it is not that of its pod or of the kubeconfig's context.
    pub home: Option<String>,
}

impl Options {
    /// Cairn's own namespace: where its Lease, its Secrets and its Services are.
    ///
    /// # Errors
    /// If no cluster is configured.
    pub async fn home(&self) -> Result<String, ConnectError> {
        match &self.home {
            Some(home) => Ok(home.clone()),
            None => Ok(config(self).await?.default_namespace),
        }
    }
}

/// Why there is no way to a cluster.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// A file that cannot be read, or makes no sense.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// Neither a kubeconfig nor a pod.
    #[error("no cluster is configured: name a kubeconfig with --kubeconfig, or run in a pod")]
    Nowhere(#[source] kube::config::InferConfigError),
    /// No client can be made of the configuration.
    #[error("the configuration of the cluster cannot be used")]
    Client(#[source] kube::Error),
    /// The server refuses, or cannot be reached.
    #[error("the cluster at {server} does not answer: {message}")]
    Silent {
        /// Its address.
        server: String,
        /// What it says.
        message: String,
    },
    /// What is to be made is no object.
    #[error("{object} that is to be made makes no sense: {why}")]
    Object {
        /// Its kind.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// The custom resources are not there.
    #[error("the cluster lacks the custom resources {missing}; `cairn install --crds` puts them there")]
    NotInstalled {
        /// Which.
        missing: String,
    },
}

/// A cluster, or one namespace of it.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// Uid of namespace kube-system, by which clusters are told apart; of the one namespace where that alone is seen.
    pub(crate) uid: String,
    /// The only namespace that is looked at.
    pub(crate) namespace: Option<String>,
    /// Cairn's own namespace: see [`Options::home`].
    pub(crate) home: String,
    /// The pod that this is, by name.
    pub(crate) pod: Option<String>,
    server: String,
}

impl Cluster {
    /// Finds a cluster and asks who it is.
    ///
    /// # Errors
    /// If none is configured, or it does not answer.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        let mut config = config(options).await?;
        if let (Ok(header), Ok(agent)) = ("user-agent".parse(), AGENT.parse()) {
            config.headers.push((header, agent));
        }
        let server = config.cluster_url.to_string();
        let home = options.home.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(ConnectError::Client)?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut system = answer::within(namespaces.get("kube-system")).await;
        if let (Err(error), Some(own)) = (&system, &options.namespace)
            && answer::is_forbidden(error)
        {
            // Who may look at one namespace only tells clusters apart by that.
            system = answer::within(namespaces.get(own)).await;
        }
        let doing = Doing { verb: "get", group: "", plural: "namespaces" };
        let system = system.map_err(|error| silent(&server, &error, &doing))?;
        let uid = system.metadata.uid.unwrap_or_default();
        let (namespace, pod) = (options.namespace.clone(), options.pod.clone());
        Ok(Self { client, uid, namespace, home, pod, server })
    }

    /// Uid of its namespace kube-system, by which clusters are told apart.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What is looked at: the cluster, and the namespace if it is one alone.
    pub fn scope(&self) -> String {
        format!("{}/{}", self.uid, self.namespace.as_deref().unwrap_or_default())
    }

    /// Cairn's own namespace: see [`Options::home`].
    pub fn home(&self) -> &str {
        &self.home
    }

    /// The only namespace that is looked at, if it is not the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Its address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether the custom resources are there.
    ///
    /// # Errors
    /// If one is not, or the cluster does not answer.
    pub async fn check(&self) -> Result<(), ConnectError> {
        let group = format!("{GROUP}/{VERSION}");
        let known = match answer::within(self.client.list_api_group_resources(&group)).await {
            Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
            Err(error) if answer::is_not_found(&error) => Vec::new(),
            Err(error) => {
                let doing = Doing { verb: "get", group: GROUP, plural: "experiments" };
                return Err(silent(&self.server, &error, &doing));
            }
        };
        let missing: Vec<&str> = Kind::ALL
            .into_iter()
            .map(Kind::plural)
            .filter(|plural| !known.iter().any(|name| name == plural))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ConnectError::NotInstalled { missing: missing.join(", ") })
    }

    /// Makes objects, or brings those that are there in line; what each is called is told.
    ///
    /// # Errors
    /// If the cluster refuses one. Those before it are there.
    pub async fn apply(&self, objects: &[Value], mut told: impl FnMut(&str)) -> Result<(), ConnectError> {
        for object in objects {
            let no_object = |why: String| ConnectError::Object { object: object["kind"].to_string(), why };
            let object: DynamicObject =
                serde_json::from_value(object.clone()).map_err(|error| no_object(error.to_string()))?;
            let (types, name) = (object.types.clone().unwrap_or_default(), object.name_any());
            let kind = GroupVersionKind::try_from(&types).map_err(|error| no_object(error.to_string()))?;
            let doing = Doing { verb: "patch", group: &kind.group, plural: &kind.kind };
            let failed = |error: kube::Error| silent(&self.server, &error, &doing);
            let (resource, _) = answer::within(pinned_kind(&self.client, &kind)).await.map_err(failed)?;
            let api = match &object.metadata.namespace {
                Some(namespace) => self.api(&resource, namespace),
                None => Api::all_with(self.client.clone(), &resource),
            };
            let doing = Doing { verb: "patch", group: &kind.group, plural: &resource.plural };
            let params = PatchParams::apply(MANAGER).force();
            let applied = answer::within(api.patch(&name, &params, &Patch::Apply(&object))).await;
            applied.map_err(|error| silent(&self.server, &error, &doing))?;
            told(&format!("{}/{name}", resource.plural));
        }
        Ok(())
    }

    /// The value of a Secret of Cairn's own; it is made with this one where there is none.
    ///
    /// # Errors
    /// If the cluster refuses.
    pub async fn secret(&self, name: &str, key: &str, fresh: &str) -> Result<String, ConnectError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.home);
        let doing = |verb| Doing { verb, group: "", plural: "secrets" };
        let new = Secret {
            metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
            string_data: Some([(key.to_owned(), fresh.to_owned())].into()),
            ..Secret::default()
        };
        match answer::within(api.create(&PostParams::default(), &new)).await {
            Ok(_) => return Ok(fresh.to_owned()),
            Err(error) if answer::is_conflict(&error) => {}
            Err(error) => return Err(silent(&self.server, &error, &doing("create"))),
        }
        let there = answer::within(api.get(name)).await;
        let there = there.map_err(|error| silent(&self.server, &error, &doing("get")))?;
        let value = there.data.and_then(|mut data| data.remove(key)).unwrap_or_default();
        Ok(String::from_utf8_lossy(&value.0).into_owned())
    }

    /// All objects of a kind that are looked at.
    pub(crate) fn all(&self, resource: &ApiResource) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// The same of a kind that is known to us.
    pub(crate) fn all_of<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Objects of a kind in a namespace.
    pub(crate) fn api(&self, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }
}

impl Cluster {
    /// What it means that it does not do something.
    pub(crate) fn silent(&self, error: &kube::Error, doing: &Doing<'_>) -> ConnectError {
        silent(&self.server, error, doing)
    }
}

async fn config(options: &Options) -> Result<Config, ConnectError> {
    let context = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    match &options.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(ConnectError::Kubeconfig)?;
            Config::from_custom_kubeconfig(file, &context).await.map_err(ConnectError::Kubeconfig)
        }
        None if options.context.is_some() => {
            Config::from_kubeconfig(&context).await.map_err(ConnectError::Kubeconfig)
        }
        None => Config::infer().await.map_err(ConnectError::Nowhere),
    }
}

fn silent(server: &str, error: &kube::Error, doing: &Doing<'_>) -> ConnectError {
    ConnectError::Silent { server: server.to_owned(), message: answer::message(error, doing) }
}
