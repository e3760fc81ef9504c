//! Which cluster is meant.

use std::path::PathBuf;

use clap::Args;

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
    #[command(flatten)]
    cluster: Cluster,
}

impl Cluster {
    /// How it is found.
    pub(super) fn options(&self) -> controller_kube::Options {
        controller_kube::Options {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            namespace: None,
        }
    }
}

impl Serving {
    /// How it is found, if one is served.
    pub(super) fn options(&self) -> Option<controller_kube::Options> {
        let namespace = self.watch_namespace.clone();
        self.kubernetes.then(|| controller_kube::Options { namespace, ..self.cluster.options() })
    }
}
