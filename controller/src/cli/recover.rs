//! `cairn recover`

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use controller_core::experiment::id_of;
use controller_core::ports::{Door as _, StoreError};
use controller_kube::{Cluster, Shown, Standing};

use super::Common;
use super::cluster::Serving;
use super::exit::{Exit, Wrong};
use super::output::talk;
use crate::api::Api;
use crate::config::Config;
use crate::{Engine, driver};

/// How long to wait until no other Cairn acts.
const PATIENCE: Duration = Duration::from_secs(30);

/// Let a store that was put back from a copy, or is new, learn what the cluster shows
///
/// A Cairn whose store is older than what it has shown in the cluster does not act. This takes over Experiments, Trials
/// and their results as far as resources tell; then it acts again. What only the lost records knew stays lost: single
/// observations, and what runs have spent.
///
/// Example: cairn recover --from-cluster --kubernetes --store postgres://cairn@db/cairn
#[derive(Debug, Args)]
pub(super) struct Recover {
    /// Take over what the cluster shows
    #[arg(long, required = true)]
    from_cluster: bool,
    #[command(flatten)]
    cluster: Serving,
}

impl Recover {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let Some(options) = self.cluster.options().filter(|_| self.from_cluster) else {
            return Err(Wrong("say which cluster: --kubernetes, with --kubeconfig if need be".into()).into());
        };
        let cluster = Cluster::connect(&options).await?;
        let store = self.cluster.store(common.store.as_deref()).await?;
        let config = Config { kubernetes: Some(options), store, ..common.config(None)? };
        let engine = Engine::open(&config).await?;
        let leadership = engine.leadership.context("a cluster is served")?;
        let mut leadership = leadership.recovering();
        let standing = leadership.standing();
        let Ok(term) = tokio::time::timeout(PATIENCE, leadership.win()).await else {
            match standing.borrow().clone() {
                Standing::StandsBy(why) => anyhow::bail!(why),
                Standing::Leads(name) => anyhow::bail!("{name} leads"),
            }
        };
        let recovered = async {
            for shown in cluster.shown().await? {
                take_over(&engine.api, shown).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            lost = leadership.keep(&term) => return Err(lost).context("another Cairn acts"),
            recovered = recovered => recovered?,
        }
        leadership.catch_up(&term).await?;
        leadership.resign().await;
        talk("the store knows what the cluster shows; Cairn acts again");
        Ok(Exit::Done)
    }
}

/// Takes over one Experiment, and says what came of it.
async fn take_over(api: &Api, shown: Shown) -> anyhow::Result<()> {
    let name = format!("{}/{}", shown.document.metadata.namespace, shown.document.metadata.name);
    if !shown.is_valid {
        talk(&format!("{name}: it is not valid, and not taken over"));
        return Ok(());
    }
    let (id, found) = (id_of(&shown.birth), shown.found);
    match api.take_in(&shown.document, shown.birth).await {
        Ok(()) => {}
        Err(StoreError::AlreadyExists { .. }) => {
            if api.world.store.experiment_by_id(id).await?.is_none() {
                talk(&format!(
                    "{name}: the store has another of this name, which is deleted first; not taken over"
                ));
                return Ok(());
            }
        }
        Err(error) => return Err(error.into()),
    }
    let taken = driver::recover(&api.world, id, found).await.with_context(|| name.clone())?;
    talk(&format!(
        "{name}: {} trials and {} ends of trials taken over, {} lost",
        taken.trials, taken.ends, taken.lost
    ));
    Ok(())
}
