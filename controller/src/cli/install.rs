//! `cairn install`

use clap::Args;

use super::cluster;
use super::exit::Exit;
use super::output::talk;

/// Put into a cluster what Cairn needs there
///
/// Example: cairn install --crds
#[derive(Debug, Args)]
pub(super) struct Install {
    /// The custom resources: Experiment, Trial, Suggestion
    #[arg(long, required = true)]
    crds: bool,
    #[command(flatten)]
    cluster: cluster::Cluster,
}

impl Install {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let cluster = controller_kube::Cluster::connect(&self.cluster.options()).await?;
        if self.crds {
            for name in cluster.install().await? {
                talk(&format!("installed {name}"));
            }
        }
        Ok(Exit::Done)
    }
}
