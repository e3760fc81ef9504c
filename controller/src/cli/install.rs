//! `cairn install`

use clap::{Args, ValueEnum};
use controller_kube::install::{self, Way};

use super::exit::Exit;
use super::output::{data, talk};
use super::{Common, cluster};

/// Put Cairn into a cluster, or what it needs there
///
/// Once more brings what is there in line with this version. Without --crds that is a whole Cairn, in namespace
/// cairn-system or another (--namespace).
///
/// Example: cairn install --image registry.example/cairn:0.1.0 --print | kubectl diff -f -
#[derive(Debug, Args)]
pub(super) struct Install {
    /// Only the custom resources: Experiment, Trial, Suggestion
    #[arg(long)]
    crds: bool,
    /// Write down what would be put there, as YAML
    #[arg(long)]
    print: bool,
    /// How Cairn is installed
    #[arg(long, value_enum, default_value_t = Overlay::Base, conflicts_with = "crds")]
    overlay: Overlay,
    /// Image of Cairn
    #[arg(long, value_name = "NAME", conflicts_with = "crds")]
    image: Option<String>,
    /// Image of the sidecar that reads metrics in pods
    #[arg(long, value_name = "NAME", conflicts_with = "crds")]
    sidecar_image: Option<String>,
    /// Image of PostgreSQL, for --overlay ha
    #[arg(long, value_name = "NAME", conflicts_with = "crds")]
    postgres_image: Option<String>,
    #[command(flatten)]
    cluster: cluster::Cluster,
}

/// Ways to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Overlay {
    /// One replica for the whole cluster, SQLite on a volume
    Base,
    /// Two replicas for the whole cluster, and a PostgreSQL on a volume
    Ha,
    /// Two replicas for the whole cluster, and a PostgreSQL of yours, named by Secret `cairn-store`
    HaExternal,
    /// One replica for its own namespace, with no rights elsewhere and no webhooks
    Namespaced,
}

impl Install {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let objects =
            if self.crds { install::definitions() } else { install::objects(&self.wanted(common))? };
        if self.print {
            data(install::stream(&objects).trim_end())?;
            return Ok(Exit::Done);
        }
        let cluster = controller_kube::Cluster::connect(&self.cluster.options()).await?;
        cluster.apply(&objects, |name| talk(&format!("installed {name}"))).await?;
        Ok(Exit::Done)
    }

    fn wanted(&self, common: &Common) -> install::Install {
        // Experiments are in `default` where nobody says otherwise; Cairn itself never is.
        let namespace = if common.namespace == "default" { install::NAMESPACE } else { &common.namespace };
        install::Install {
            way: match self.overlay {
                Overlay::Base => Way::Base,
                Overlay::Ha => Way::Ha,
                Overlay::HaExternal => Way::HaExternal,
                Overlay::Namespaced => Way::Namespaced,
            },
            namespace: namespace.to_owned(),
            image: self.image.clone(),
            sidecar_image: self.sidecar_image.clone(),
            postgres_image: self.postgres_image.clone(),
        }
    }
}
