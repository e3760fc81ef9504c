//! Which cluster is meant.

use std::path::PathBuf;

use clap::Args;
use controller_core::artifacts::StoreUri;
use controller_core::quantity;
use controller_kube::inject::{Resources, Settings};

use super::exit::Wrong;
use super::secret;
use crate::api::client::encode;

/// A cluster.
#[derive(Clone, Debug, Args)]
pub(super) struct Cluster {
    /// The cluster's kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod that this is]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one
    #[arg(long, env = "CAIRN_KUBE_CONTEXT", value_name = "NAME")]
    context: Option<String>,
}

/// A cluster that is served, or none.
#[derive(Clone, Debug, Args)]
pub(super) struct Serving {
    /// Drive the Experiments of a cluster, and run their trials there
    #[arg(long, env = "CAIRN_KUBERNETES")]
    kubernetes: bool,
    /// The only namespace of the cluster to look at
    #[arg(long, env = "CAIRN_WATCH_NAMESPACE", value_name = "NAME", requires = "kubernetes")]
    watch_namespace: Option<String>,
    /// Image of the sidecars that read metrics; without one only what trials print is read
    #[arg(long, env = "CAIRN_SIDECAR_IMAGE", value_name = "IMAGE", requires = "kubernetes")]
    sidecar_image: Option<String>,
    /// Put sidecars in as init containers that go on, which the cluster ends after the program (Kubernetes 1.29 and newer)
    #[arg(long, env = "CAIRN_NATIVE_SIDECARS", requires = "sidecar_image")]
    native_sidecars: bool,
    /// Let sidecars wait for all containers of a pod, as Katib's do by `waitAllProcesses`, and not for the program alone
    #[arg(
        long,
        env = "CAIRN_SIDECARS_WAIT_FOR_ALL",
        requires = "sidecar_image",
        conflicts_with = "native_sidecars"
    )]
    sidecars_wait_for_all: bool,
    /// What a sidecar asks for, such as `{limits: {memory: 1Gi}}`; what is not named stays, and null takes it away
    #[arg(long, env = "CAIRN_SIDECAR_RESOURCES", value_name = "YAML", requires = "sidecar_image")]
    sidecar_resources: Option<Resources>,
    /// Address of this server as pods reach it, such as `http://cairn.cairn-system:7700`
    #[arg(long, env = "CAIRN_POD_SERVER", value_name = "URL", requires = "kubernetes")]
    pod_server: Option<String>,
    /// Where models and checkpoints of experiments that name no store are kept, such as `cairn://` (the folder of
    /// --dir) or `s3://bucket/path`; without one they are not kept
    #[arg(long, env = "CAIRN_ARTIFACTS", value_name = "STORE", requires = "kubernetes", value_parser = StoreUri::of_store)]
    artifacts: Option<StoreUri>,
    /// Most bytes of `cairn://`, such as `8Gi`
    #[arg(long, env = "CAIRN_ARTIFACTS_QUOTA", value_name = "BYTES", requires = "artifacts", value_parser = bytes)]
    artifacts_quota: Option<u64>,
    /// The pod of that cluster that this is
    #[arg(long, env = "CAIRN_POD", value_name = "NAME", requires = "kubernetes")]
    pod: Option<String>,
    /// Cairn's own namespace there, of its Lease and its Secrets [default: this pod's, or the kubeconfig's]
    #[arg(long, env = "CAIRN_OWN_NAMESPACE", value_name = "NAME", requires = "kubernetes")]
    own_namespace: Option<String>,
    /// The Secret there with the password of a PostgreSQL that has none in its address; made if there is none
    #[arg(long, env = "CAIRN_STORE_SECRET", value_name = "NAME", requires = "kubernetes")]
    store_secret: Option<String>,
    #[command(flatten)]
    cluster: Cluster,
}

fn bytes(text: &str) -> Result<u64, String> {
    let bytes = quantity::parse(text).filter(|bytes| *bytes >= 1.0);
    bytes.map(|bytes| bytes as u64).ok_or_else(|| format!("`{text}` is no number of bytes such as 8Gi"))
}

impl Cluster {
    /// How it is found.
    pub(super) fn options(&self) -> controller_kube::Options {
        controller_kube::Options {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: None,
            pod: None,
            home: None,
        }
    }
}

impl Serving {
    /// What is put into the pods of trials.
    pub(super) fn sidecar(&self) -> Settings {
        let (image, server) = (self.sidecar_image.clone(), self.pod_server.clone());
        let (native, waits_for_all) = (self.native_sidecars, self.sidecars_wait_for_all);
        let store = self.artifacts.clone();
        let mut settings = Settings { image, server, native, waits_for_all, store, ..Settings::default() };
        if let Some(wish) = &self.sidecar_resources {
            wish.put_into(&mut settings.resources);
        }
        settings
    }

    /// Most bytes of Cairn's own store.
    pub(super) fn quota(&self) -> Option<u64> {
        self.artifacts_quota
    }

    /// How it is found, if one is served.
    pub(super) fn options(&self) -> Option<controller_kube::Options> {
        let (namespace, pod) = (self.watch_namespace.clone(), self.pod.clone());
        let home = self.own_namespace.clone();
        self.kubernetes.then(|| controller_kube::Options { namespace, pod, home, ..self.cluster.options() })
    }

    /// Where the store is, with the password that a Secret of the cluster keeps.
    pub(super) async fn store(&self, url: Option<&str>) -> anyhow::Result<Option<String>> {
        let (Some(name), Some(options)) = (&self.store_secret, self.options()) else {
            return Ok(url.map(str::to_owned));
        };
        let url = url.and_then(passwordless).ok_or_else(|| {
            Wrong("--store-secret needs --store postgres://USER@HOST/DATABASE, without a password".into())
        })?;
        let password = secret::kept(&options, name, "password").await?;
        Ok(Some(url.with(&password)))
    }
}

/// The address of a PostgreSQL, before and behind the place of the password.
#[derive(Debug, PartialEq, Eq)]
struct Passwordless<'a>(&'a str, &'a str);

fn passwordless(url: &str) -> Option<Passwordless<'_>> {
    let begins = |word: &&str| url.starts_with(*word);
    let scheme = ["postgres://", "postgresql://"].into_iter().find(begins)?;
    let user = url[scheme.len()..].split(['@', '/', '?']).next()?;
    let (before, behind) = url.split_at(scheme.len() + user.len());
    let is_one = !user.is_empty() && !user.contains(':') && behind.starts_with('@');
    is_one.then_some(Passwordless(before, behind))
}

impl Passwordless<'_> {
    fn with(&self, password: &str) -> String {
        format!("{}:{}{}", self.0, encode(password), self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_put_where_none_is() {
        let with = |url: &str| passwordless(url).map(|url| url.with("a/b@c"));
        let put_in = Some("postgres://cairn:a%2Fb%40c@db:5432/cairn?sslmode=require".to_owned());
        assert_eq!(with("postgres://cairn@db:5432/cairn?sslmode=require"), put_in);
        for other in
            ["postgres://cairn:x@db/cairn", "postgres://db/cairn", "sqlite:cairn.db", "postgres://@db/a"]
        {
            assert_eq!(with(other), None, "{other}");
        }
    }
}
