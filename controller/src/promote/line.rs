//! One promotion, from where it stands to its end, or to where only a person can let it go on.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::ports::{ExecutorError, Lease, ModelError, PromotionQuery, StoreError};
use controller_core::promotion::{
    Action, Change, Effect, Evaluated, Ground, Promotion, PromotionId, Role, Version, View, WaitsFor, plan,
};
use controller_core::run::{RunPhase, RunStatus};
use controller_core::time::Timestamp;
use thiserror::Error;
use tracing::{Instrument as _, info, info_span, warn};

use super::servers::Servers;
use super::{data, measure};
use crate::fault::{Fault, caught};
use crate::world::World;

/// How often a step that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often requests are counted while a share bakes.
const COUNT_EVERY: Duration = Duration::from_millis(250);
/// How long a step may take to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// Why a promotion cannot go on now. What was written stays.
#[derive(Debug, Error)]
pub(crate) enum PromoteError {
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Steps cannot be run now.
    #[error("steps cannot be run: {0}")]
    Executor(#[from] ExecutorError),
    /// The model cannot be read now.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is no such promotion.
    #[error("promotion {0} is not there")]
    Missing(i64),
    /// It broke off.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Carries a promotion on until it is over or waits for a person; waits while somebody else moves its model.
pub(crate) async fn carry_on(world: &World, id: PromotionId) -> Result<Promotion, PromoteError> {
    let promotion = find(world, id).await?;
    let span = info_span!("promotion", model = promotion.model, number = promotion.number);
    async {
        let lease_id = promotion.lease();
        let lease = loop {
            if let Some(lease) = world.store.acquire(lease_id, &world.holder).await? {
                break lease;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let now = find(world, id).await?;
            if now.state.is_final() {
                return Ok(now);
            }
        };
        let (verified, refused) = (None, BTreeMap::new());
        let mut line = Line { world, lease, verified, refused, servers: Servers::new(world) };
        let result = caught(line.run(id)).await;
        if let Err(error) = world.store.release(&line.lease).await {
            warn!(%error, "the lease could not be given back");
        }
        result
    }
    .instrument(span)
    .await
}

/// Number of a newer promotion of the same model among those that are open.
pub(super) fn newer(open: &[Promotion], promotion: &Promotion) -> Option<u64> {
    let newer = |other: &&Promotion| is_same_model(other, promotion) && other.number > promotion.number;
    open.iter().filter(newer).map(|other| other.number).max()
}

/// Number of an older promotion of the same model, among those that are open, whose candidate is being served.
pub(super) fn serving_older(open: &[Promotion], promotion: &Promotion) -> Option<u64> {
    let older = |other: &&Promotion| {
        is_same_model(other, promotion) && other.number < promotion.number && other.is_serving()
    };
    open.iter().filter(older).map(|other| other.number).max()
}

fn is_same_model(one: &Promotion, other: &Promotion) -> bool {
    (&one.namespace, &one.model) == (&other.namespace, &other.model)
}

async fn find(world: &World, id: PromotionId) -> Result<Promotion, PromoteError> {
    world.promotions.promotion(id).await?.ok_or(PromoteError::Missing(id.0))
}

struct Line<'a> {
    world: &'a World,
    lease: Lease,
    /// What reading model and data has shown in this stage: the digest of the data, or what is wrong.
    verified: Option<Result<String, String>>,
    /// Measurements that cannot be made in this stage, and why.
    refused: BTreeMap<Role, String>,
    /// The servers of its model.
    servers: Servers<'a>,
}

impl Line<'_> {
    async fn run(&mut self, id: PromotionId) -> Result<Promotion, PromoteError> {
        loop {
            let promotion = find(self.world, id).await?;
            let (namespace, model) = (&promotion.namespace, &promotion.model);
            let ground = self.servers.tend(&self.lease, namespace, model, Some(&promotion)).await?;
            match self.next(&promotion, &ground).await? {
                Action::Keep(change) => self.keep(&promotion, *change).await?,
                Action::Do(effects) => {
                    for effect in effects {
                        self.act(&promotion, &ground, effect).await?;
                    }
                }
                Action::Wait(_) => match promotion.waits_for() {
                    Some(WaitsFor::Approval | WaitsFor::Turn) => return Ok(promotion),
                    Some(WaitsFor::Bake) => {
                        self.hear_queued(&promotion).await?;
                        tokio::time::sleep(COUNT_EVERY).await;
                    }
                    None => tokio::time::sleep(LOOK_EVERY).await,
                },
                Action::Over => {
                    self.tidy(&promotion).await?;
                    return Ok(promotion);
                }
            }
        }
    }

    async fn next(&self, promotion: &Promotion, ground: &Ground) -> Result<Action, PromoteError> {
        let world = self.world;
        let (namespace, model) = (&promotion.namespace, &promotion.model);
        let versions = world.promotions.versions(namespace, model).await?;
        let champion = world.promotions.champion(namespace, model).await?;
        let query =
            PromotionQuery { namespace: Some(namespace.clone()), model: Some(model.clone()), open: true };
        let open = world.promotions.promotions(&query).await?;
        let wishes = world.promotions.wishes_of_promotion(promotion.id).await?;
        let candidate = self.evaluated(promotion, Role::Candidate, champion.as_ref()).await?;
        let measured_champion = self.evaluated(promotion, Role::Champion, champion.as_ref()).await?;
        Ok(plan(
            world.clock.now(),
            &View {
                promotion,
                champion: champion.as_ref(),
                back_to: versions.iter().find(|version| Some(version.number) == promotion.back_to),
                last_version: versions.first().map_or(0, |version| version.number),
                newer: newer(&open, promotion),
                serving_older: serving_older(&open, promotion),
                wishes: &wishes,
                verified: self.verified.as_ref(),
                candidate: &candidate,
                measured_champion: &measured_champion,
                ground,
            },
        ))
    }

    /// What is written down of the promotions that this one, which has the lease of their model, keeps waiting: that
    /// they wait, that a newer one takes the place of one of them, that somebody cancels one.
    async fn hear_queued(&mut self, promotion: &Promotion) -> Result<(), PromoteError> {
        let (namespace, model) = (Some(promotion.namespace.clone()), Some(promotion.model.clone()));
        let query = PromotionQuery { namespace, model, open: true };
        for queued in self.world.promotions.promotions(&query).await? {
            if queued.number > promotion.number
                && !queued.is_serving()
                && let Action::Keep(change) = self.next(&queued, &Ground::default()).await?
            {
                self.world.promotions.keep_promotion(&self.lease, &change).await?;
            }
        }
        Ok(())
    }

    async fn keep(&mut self, before: &Promotion, change: Change) -> Result<(), PromoteError> {
        self.world.promotions.keep_promotion(&self.lease, &change).await?;
        let now = &change.promotion;
        if (now.state, now.stage) != (before.state, before.stage) {
            info!(state = now.state.name(), stage = now.stage.name(), reason = now.message, "promotion");
            self.verified = None;
            // Another champion may be measured in the next.
            self.refused.clear();
            self.servers.look_anew();
        }
        Ok(())
    }

    async fn act(
        &mut self,
        promotion: &Promotion,
        ground: &Ground,
        effect: Effect,
    ) -> Result<(), PromoteError> {
        match effect {
            Effect::Verify => {
                self.verified = Some(match self.world.models.verify(&promotion.candidate.artifact).await {
                    Ok(_) => data::digest_of(promotion).await,
                    Err(ModelError::Changed(why)) => Err(why),
                    Err(error) => return Err(error.into()),
                });
                Ok(())
            }
            Effect::Evaluate(role) => self.measure(promotion, role).await,
            Effect::Smoke => self.servers.smoke(promotion, &ground.serving).await,
        }
    }

    /// Begins to measure a model, unless that is under way.
    async fn measure(&mut self, promotion: &Promotion, role: Role) -> Result<(), PromoteError> {
        let champion = self.world.promotions.champion(&promotion.namespace, &promotion.model).await?;
        let artifact = match (role, &champion) {
            (Role::Champion, Some(version)) => &version.candidate.artifact,
            _ => &promotion.candidate.artifact,
        };
        let path = match self.world.models.verify(artifact).await {
            Ok(path) => path,
            Err(ModelError::Changed(why)) => {
                self.refused.insert(role, why);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let id = measure::run_id(promotion, role, champion.as_ref());
        match self.world.executor.ensure(&measure::run(promotion, role, id, artifact, &path)).await {
            Ok(()) => Ok(()),
            Err(ExecutorError::Refused(why)) => {
                self.refused.insert(role, why);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How far a measurement is.
    async fn evaluated(
        &self,
        promotion: &Promotion,
        role: Role,
        champion: Option<&Version>,
    ) -> Result<Evaluated, PromoteError> {
        if let Some(why) = self.refused.get(&role) {
            return Ok(Evaluated::Failed(why.clone()));
        }
        let id = measure::run_id(promotion, role, champion);
        let listed = self.world.executor.list(id.experiment).await?;
        match listed.into_iter().find(|status| status.run == id).map(|status| status.phase) {
            None => Ok(Evaluated::Not),
            Some(RunPhase::Waiting { .. } | RunPhase::Running { .. }) => Ok(Evaluated::Underway),
            Some(RunPhase::Ended(end)) => Ok(measure::of_end(self.world, promotion, id, &end).await?),
        }
    }

    /// Sees to it that nothing of the promotion runs any more, and that what ended is forgotten.
    async fn tidy(&mut self, promotion: &Promotion) -> Result<(), PromoteError> {
        for RunStatus { run, .. } in self.world.executor.list(promotion.id.of_runs()).await? {
            self.world.executor.stop(&run, GRACE).await?;
            self.world.executor.forget(&run).await?;
        }
        // A server that has to go is not left to those who may not come.
        loop {
            let (namespace, model) = (&promotion.namespace, &promotion.model);
            let ground = self.servers.tend(&self.lease, namespace, model, None).await?;
            let now = self.world.clock.now();
            let goes = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
            if !ground.serving.deployments.iter().any(|one| goes(one.warm_until)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
