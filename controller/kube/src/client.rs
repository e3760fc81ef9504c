//! The way to a cluster: by a kubeconfig, or as a pod of it.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope};
use kube::{Client, Config, Resource};
use thiserror::Error;

use crate::answer::{self, Doing};
use crate::resources::{GROUP, Kind, VERSION, definition};

/// By whom fields are said to be managed.
pub(crate) const MANAGER: &str = "cairn";
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
    /// Uid of namespace kube-system, by which clusters are told apart.
    pub(crate) uid: String,
    /// The only namespace that is looked at.
    pub(crate) namespace: Option<String>,
    server: String,
}

impl Cluster {
    /// Finds a cluster and asks who it is.
    ///
    /// # Errors
    /// If none is configured, or it does not answer.
    pub async fn connect(options: &Options) -> Result<Self, ConnectError> {
        let config = config(options).await?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(ConnectError::Client)?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let system = answer::within(namespaces.get("kube-system")).await;
        let doing = Doing { verb: "get", group: "", plural: "namespaces" };
        let system = system.map_err(|error| silent(&server, &error, &doing))?;
        let uid = system.metadata.uid.unwrap_or_default();
        Ok(Self { client, uid, namespace: options.namespace.clone(), server })
    }

    /// Uid of its namespace kube-system, by which clusters are told apart.
    pub fn uid(&self) -> &str {
        &self.uid
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

    /// Installs the custom resources, or brings them up to date; their names.
    ///
    /// # Errors
    /// If the cluster refuses them.
    pub async fn install(&self) -> Result<Vec<String>, ConnectError> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let mut installed = Vec::new();
        for kind in Kind::ALL {
            let definition = definition(kind);
            let name = definition.metadata.name.clone().unwrap_or_default();
            let params = PatchParams::apply(MANAGER).force();
            let applied = answer::within(api.patch(&name, &params, &Patch::Apply(&definition))).await;
            let doing =
                Doing { verb: "patch", group: "apiextensions.k8s.io", plural: "customresourcedefinitions" };
            applied.map_err(|error| silent(&self.server, &error, &doing))?;
            installed.push(name);
        }
        Ok(installed)
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
