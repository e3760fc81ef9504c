//! The servers of a model as runs of the executor, which outlive this process, and the router beside them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use controller_core::experiment::ExperimentId;
use controller_core::ports::{ExecutorError, Lease, ModelError};
use controller_core::promotion::{
    Deployment, Ground, Keep, Phase, Promotion, PromotionId, Seen, Serving, Telemetry, keep, smoke,
};
use controller_core::run::{Exit, Run, RunEnd, RunId, RunPhase, RunStatus};
use controller_core::spec::{ArtifactsSpec, MetricsCollector, MetricsCollectorSpec, manifest};
use controller_core::time::Timestamp;
use futures::StreamExt as _;
use serde_json::{Value, json};
use study::TrialIdx;
use tracing::{info, warn};

use super::PromoteError;
use super::ask::Asker;
use super::measure::fill;
use super::telemetry;
use crate::router::{Backend, Routes, VERSION};
use crate::world::World;

/// How long a server may take to say that it is ready, and the router to show its page.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// How long a server may take for the sample.
const SMOKE_WITHIN: Duration = Duration::from_mins(1);
/// How long requests of a server that goes may take to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// How long a server may take to end by itself once it was told to.
const GRACE: Duration = Duration::from_secs(5);
/// How often a router that does not stay is started.
const ROUTER_AGAIN: Duration = Duration::from_secs(2);
/// How much of what a server has said last is told.
const TAIL: usize = 800;

/// Looks after the servers of one model, under its lease.
pub(super) struct Servers<'a> {
    world: &'a World,
    asker: Asker,
    /// Deployments whose server cannot be started, and why.
    refused: BTreeMap<String, String>,
    /// What the smoke test of the candidate has shown.
    smoke: Option<Result<String, String>>,
    /// When the router was last heard, or first asked.
    counted_at: Option<Timestamp>,
    no_router: String,
}

impl<'a> Servers<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self {
            world,
            asker: Asker::new(),
            refused: BTreeMap::new(),
            smoke: None,
            counted_at: None,
            no_router: String::new(),
        }
    }

    /// Sees to it that what is written down of a model's servers is so. Returns what is known of them then.
    pub(super) async fn tend(
        &mut self,
        lease: &Lease,
        namespace: &str,
        model: &str,
        promotion: Option<&Promotion>,
    ) -> Result<Ground, PromoteError> {
        let Some(mut serving) = self.world.promotions.serving(namespace, model).await? else {
            return Ok(Ground::default());
        };
        let starting = promotion.and_then(|promotion| promotion.rollout.as_ref());
        let starting = starting.filter(|rollout| rollout.phase == Phase::Starting);
        let starting = starting.and_then(|rollout| serving.find(&rollout.deployment)).cloned();
        let mut seen = self.look(&serving, starting.as_ref()).await?;
        seen.extend(self.refused());
        self.see_to_router(&serving).await?;
        self.route(&serving)?;
        let telemetry = self.telemetry(&serving).await;
        let before = serving.clone();
        let now = self.world.clock.now();
        for todo in keep(now, &before, &seen) {
            match todo {
                Keep::Next(deployment) => {
                    self.next(lease, &mut serving, deployment).await?;
                    seen.insert(deployment.name.clone(), Seen::Running);
                }
                Keep::Ensure(deployment) => self.ensure(&serving, deployment).await?,
                Keep::Retire(deployment) => {
                    self.retire(lease, &mut serving, deployment, telemetry.as_ref()).await?;
                }
            }
        }
        seen.extend(self.refused());
        self.route(&serving)?;
        let tail = match &starting {
            Some(deployment) => self.tail(&serving.run_id(deployment)).await,
            None => String::new(),
        };
        let counted_at = if telemetry.is_some() { now } else { self.counted_at.unwrap_or(now) };
        self.counted_at = Some(counted_at);
        Ok(Ground {
            serving,
            seen,
            tail,
            smoke: self.smoke.clone(),
            telemetry,
            counted_at,
            no_router: self.no_router.clone(),
        })
    }

    /// Whether there is something to do for a model's servers that its record does not have to be locked for to see.
    pub(super) async fn is_needed(&self, serving: &Serving) -> Result<bool, PromoteError> {
        if serving.deployments.is_empty() {
            return Ok(false);
        }
        let seen = self.look(serving, None).await?;
        let now = self.world.clock.now();
        let home = &self.world.home;
        Ok(!home.is_alive()
            || self.is_outdated().await?
            || !home.has(&routes(serving))
            || !keep(now, serving, &seen).is_empty())
    }

    /// Whether the router was started here by another Cairn, and none is about to take over from it.
    async fn is_outdated(&self) -> Result<bool, PromoteError> {
        if self.world.home.version().is_none_or(|version| version == VERSION) {
            return Ok(false);
        }
        let listed = self.world.executor.list(router_runs()).await?;
        Ok(listed.iter().filter(|status| !matches!(status.phase, RunPhase::Ended(_))).count() == 1)
    }

    /// Asks the candidate's server for its answer to the sample.
    pub(super) async fn smoke(
        &mut self,
        promotion: &Promotion,
        serving: &Serving,
    ) -> Result<(), PromoteError> {
        let name = promotion.rollout.as_ref().map(|rollout| rollout.deployment.clone()).unwrap_or_default();
        let Some(deployment) = serving.find(&name) else { return Ok(()) };
        let description = match self.world.models.describe(&deployment.artifact).await {
            Ok(description) => description,
            Err(ModelError::Changed(why)) => {
                self.smoke = Some(Err(why));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for note in &description.notes {
            warn!(note, "a model that is served");
        }
        let notes: String = description.notes.iter().map(|note| format!("; {note}")).collect();
        let Some(sample) = &description.sample else {
            let shown = format!("model.yaml names no `sample`, so no answer was compared{notes}");
            self.smoke = Some(Ok(shown));
            return Ok(());
        };
        let url = format!("http://127.0.0.1:{}/v2/models/{}/infer", deployment.port, serving.model);
        let answer = self.asker.post(&url, sample, SMOKE_WITHIN).await;
        let shown = match answer {
            Err(why) => Err(format!("its server does not answer the sample: {why}")),
            Ok((status, body)) if !status.is_success() => {
                let said: String = String::from_utf8_lossy(&body).chars().take(TAIL).collect();
                Err(format!("its server answers the sample with status {}: {said}", status.as_u16()))
            }
            Ok((_, body)) => compared(description.expected.as_ref(), &body),
        };
        self.smoke = Some(shown.map(|shown| format!("{shown}{notes}")));
        Ok(())
    }

    /// Forgets what was shown, since the next look is another one's.
    pub(super) fn look_anew(&mut self) {
        self.smoke = None;
    }

    /// What is seen of the newest servers.
    async fn look(
        &self,
        serving: &Serving,
        starting: Option<&Deployment>,
    ) -> Result<BTreeMap<String, Seen>, PromoteError> {
        let listed = self.world.executor.list(serving.runs()).await?;
        let mut seen = BTreeMap::new();
        for deployment in &serving.deployments {
            let id = serving.run_id(deployment);
            let of = |status: &&RunStatus| status.run == id;
            let found = match listed.iter().find(of).map(|status| &status.phase) {
                None => Seen::Absent,
                Some(RunPhase::Running { .. }) if starting.is_some_and(|one| one.name == deployment.name) => {
                    self.is_ready(serving, deployment).await
                }
                Some(RunPhase::Waiting { .. } | RunPhase::Running { .. }) => Seen::Running,
                Some(RunPhase::Ended(end)) => self.ended(&id, end).await,
            };
            seen.insert(deployment.name.clone(), found);
        }
        Ok(seen)
    }

    async fn is_ready(&self, serving: &Serving, deployment: &Deployment) -> Seen {
        let url = format!("http://127.0.0.1:{}/v2/models/{}/ready", deployment.port, serving.model);
        match self.asker.get(&url, ASK_WITHIN).await {
            Ok((status, _)) if status.is_success() => Seen::Ready,
            _ => Seen::Running,
        }
    }

    async fn ended(&self, id: &RunId, end: &RunEnd) -> Seen {
        match &end.exit {
            Exit::Lost { reason } => Seen::Lost(reason.clone()),
            Exit::Stopped => Seen::Lost("it was stopped".into()),
            exit => {
                let tail = self.tail(id).await;
                let said = if tail.is_empty() { String::new() } else { format!("; it said last: {tail}") };
                Seen::Died(format!("{exit}{said}"))
            }
        }
    }

    /// The last lines that a run has printed, as one.
    async fn tail(&self, id: &RunId) -> String {
        let mut logs = self.world.executor.logs(id, 0, false);
        let mut last = Vec::new();
        while let Some(bytes) = logs.next().await {
            last.extend_from_slice(&bytes);
            let old = last.len().saturating_sub(TAIL);
            last.drain(..old);
        }
        String::from_utf8_lossy(&last).trim().replace('\n', " | ")
    }

    /// Writes down the next server of a deployment, and starts it.
    async fn next(
        &mut self,
        lease: &Lease,
        serving: &mut Serving,
        deployment: &Deployment,
    ) -> Result<(), PromoteError> {
        if deployment.attempt > 0 {
            let Some(why) = self.end_of(serving, deployment).await? else { return Ok(()) };
            warn!(model = serving.model, server = deployment.name, why, "a server is started again");
            self.world.executor.forget(&serving.run_id(deployment)).await?;
        }
        let Some([port, grpc_port]) = free_ports() else {
            return Err(ExecutorError::Unavailable("no port is free for a server".into()).into());
        };
        let mut next = deployment.next(self.world.clock.now(), port);
        next.grpc_port = if next.speaks_grpc() { grpc_port } else { 0 };
        if let Some(there) = serving.find_mut(&deployment.name) {
            there.clone_from(&next);
        }
        serving.generation += 1;
        self.world.promotions.keep_serving(lease, serving).await?;
        self.route(serving)?;
        self.ensure(serving, &next).await
    }

    /// How the newest server of a deployment has ended, if it has.
    async fn end_of(
        &self,
        serving: &Serving,
        deployment: &Deployment,
    ) -> Result<Option<String>, PromoteError> {
        let seen = self.look(serving, None).await?;
        Ok(match seen.get(&deployment.name) {
            Some(Seen::Died(why) | Seen::Lost(why)) => Some(why.clone()),
            _ => None,
        })
    }

    /// Sees to it that the server that is written down runs.
    async fn ensure(&mut self, serving: &Serving, deployment: &Deployment) -> Result<(), PromoteError> {
        let path = match self.world.models.verify(&deployment.artifact).await {
            Ok(path) => path,
            Err(ModelError::Changed(why)) => {
                self.refuse(serving, deployment, why);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match self.world.executor.ensure(&server(serving, deployment, &path)).await {
            Ok(()) => {
                info!(model = serving.model, server = deployment.name, port = deployment.port, "server");
                Ok(())
            }
            Err(ExecutorError::Refused(why)) => {
                self.refuse(serving, deployment, why);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refused(&self) -> BTreeMap<String, Seen> {
        self.refused.iter().map(|(name, why)| (name.clone(), Seen::Refused(why.clone()))).collect()
    }

    fn refuse(&mut self, serving: &Serving, deployment: &Deployment, why: String) {
        warn!(model = serving.model, server = deployment.name, why, "a server cannot be started");
        self.refused.insert(deployment.name.clone(), why);
    }

    /// Stops the server of a deployment once its last request has ended, then takes it out of the record.
    async fn retire(
        &mut self,
        lease: &Lease,
        serving: &mut Serving,
        deployment: &Deployment,
        telemetry: Option<&Telemetry>,
    ) -> Result<(), PromoteError> {
        let busy = telemetry.is_none_or(|telemetry| {
            telemetry.generation < serving.generation
                || telemetry.in_flight.get(&deployment.name).is_some_and(|requests| *requests > 0)
        });
        let limit = deployment.warm_until.unwrap_or_default().plus(DRAIN_WITHIN);
        if busy && self.world.clock.now() < limit {
            return Ok(());
        }
        let id = serving.run_id(deployment);
        if deployment.attempt > 0 {
            self.world.executor.stop(&id, GRACE).await?;
            self.world.executor.forget(&id).await?;
        }
        info!(model = serving.model, server = deployment.name, "server is gone");
        self.refused.remove(&deployment.name);
        serving.remove(deployment);
        self.world.promotions.keep_serving(lease, serving).await?;
        Ok(())
    }

    /// Tells the router how requests are split.
    fn route(&self, serving: &Serving) -> Result<(), PromoteError> {
        self.world.home.write(&routes(serving)).map_err(|error| {
            ExecutorError::Unavailable(format!("the routes of models cannot be written: {error}")).into()
        })
    }

    /// Sees to it that there is a router, where something is served.
    async fn see_to_router(&mut self, serving: &Serving) -> Result<(), PromoteError> {
        let is_alive = self.world.home.is_alive();
        if serving.deployments.is_empty() || (is_alive && !self.is_outdated().await?) {
            self.no_router.clear();
            return Ok(());
        }
        let runs = router_runs();
        let now = self.world.clock.now();
        for status in self.world.executor.list(runs).await? {
            let RunPhase::Ended(end) = &status.phase else {
                // One that is alive is to hand over; another is just coming.
                if is_alive {
                    continue;
                }
                return Ok(());
            };
            self.no_router = match self.ended(&status.run, end).await {
                Seen::Died(why) | Seen::Lost(why) => why,
                _ => String::new(),
            };
            warn!(why = self.no_router, "the router has ended and is started again");
            if end.started.is_some_and(|started| now < started.plus(ROUTER_AGAIN)) {
                return Ok(());
            }
            self.world.executor.forget(&status.run).await?;
        }
        // No two have the same number: routers are started seconds apart.
        let attempt = (now.0 / 1_000_000) as u32;
        let id = RunId { experiment: runs, trial: TrialIdx(0), attempt };
        let home = &self.world.home;
        let program = std::env::current_exe().map_err(|error| {
            ExecutorError::Unavailable(format!("cannot find this program's file: {error}"))
        })?;
        let command = json!([
            program.display().to_string(),
            "--dir",
            home.owner().display().to_string(),
            "router",
            "--listen",
            home.place()
        ]);
        let run = long_run(id, "router", "router", manifest(json!({"command": command})), None);
        self.world.executor.ensure(&run).await?;
        Ok(())
    }

    /// What the router has counted, if it says so now.
    pub(super) async fn telemetry(&self, serving: &Serving) -> Option<Telemetry> {
        let home = &self.world.home;
        let address = home.address().filter(|_| home.is_alive())?.replace("0.0.0.0", "127.0.0.1");
        let (status, page) = self.asker.get(&format!("http://{address}/metrics"), ASK_WITHIN).await.ok()?;
        let page = std::str::from_utf8(&page).ok().filter(|_| status.is_success())?;
        let mut telemetry = telemetry::read(page, serving)?;
        // Labels come to another place, and may be unreadable there without harm to the rest.
        match super::known(home, serving) {
            Ok(watched) => telemetry::label(&mut telemetry, &watched),
            Err(error) => warn!(%error, model = serving.model, "labels cannot be read"),
        }
        Some(telemetry)
    }
}

/// What the runs of routers carry in place of an experiment.
fn router_runs() -> ExperimentId {
    PromotionId::of_key("router").of_runs()
}

/// What the comparison of an answer with the expected one shows.
fn compared(expected: Option<&Value>, body: &[u8]) -> Result<String, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|error| format!("its server answers the sample with no JSON: {error}"))?;
    let Some(expected) = expected else {
        return Ok("it answers the sample; model.yaml has no `expected` to compare with".into());
    };
    let compared = smoke::compare(expected, &answer)
        .map_err(|why| format!("its server answers the sample wrongly: {why}"))?;
    let (absolute, relative) = (smoke::ABSOLUTE, smoke::RELATIVE);
    Ok(format!(
        "it answers the sample as expected: {compared} values, none further off than {absolute} plus {relative} of it"
    ))
}

/// A server as it is run.
fn server(serving: &Serving, deployment: &Deployment, path: &str) -> Run {
    let mut manifest = deployment.manifest();
    let (port, grpc_port) = (deployment.port.to_string(), deployment.grpc_port.to_string());
    let words = [
        ("${port}", port.as_str()),
        ("${grpcPort}", &grpc_port),
        ("${model.name}", &serving.model),
        ("${model.path}", path),
        ("${model.uri}", &deployment.artifact.uri),
        ("${model.digest}", &deployment.artifact.digest),
    ];
    fill(&mut manifest, &words);
    let whose = format!("serving-{}-{}", serving.namespace, serving.model);
    let run =
        long_run(serving.run_id(deployment), &whose, &deployment.name, manifest, deployment.starts_in());
    Run { namespace: serving.namespace.clone(), ..run }
}

/// How requests of a model are split. The newest comes first, so that whoever is in its share stays there as that grows.
fn routes(serving: &Serving) -> Routes {
    let mut with_server: Vec<&Deployment> = serving.deployments.iter().filter(|one| one.port > 0).collect();
    with_server.sort_by_key(|one| std::cmp::Reverse(one.promotion));
    let backend = |deployment: &&Deployment| Backend {
        name: deployment.name.clone(),
        address: format!("127.0.0.1:{}", deployment.port),
        weight: deployment.weight,
        shadow: deployment.shadow,
        grpc: (deployment.grpc_port > 0).then(|| format!("127.0.0.1:{}", deployment.grpc_port)),
    };
    let shadowed = serving.deployments.iter().find(|one| one.shadow);
    let champion = serving.deployments.iter().find(|one| one.weight > 0 && !one.on_trial);
    let main = champion.or(serving.main());
    Routes {
        namespace: serving.namespace.clone(),
        model: serving.model.clone(),
        path: serving.path(),
        generation: serving.generation,
        sticky: main.and_then(|deployment| deployment.spec.sticky.clone()),
        log: main.and_then(|deployment| deployment.spec.watch.as_ref()?.log.clone()),
        compare: shadowed.and_then(|deployment| deployment.spec.compare.clone()),
        backends: with_server.iter().map(backend).collect(),
    }
}

/// A run that goes on until it is told to end, and whose metrics nobody collects.
fn long_run(id: RunId, whose: &str, name: &str, manifest: Value, base_dir: Option<String>) -> Run {
    let collector = MetricsCollector { kind: "Push".into(), ..MetricsCollector::default() };
    Run {
        id,
        namespace: String::new(),
        experiment: whose.to_owned(),
        experiment_uid: whose.to_owned(),
        trial: name.to_owned(),
        manifest,
        primary_container: String::new(),
        primary_pod_labels: BTreeMap::new(),
        success_condition: String::new(),
        failure_condition: String::new(),
        retain: false,
        collector: MetricsCollectorSpec { collector: Some(collector), ..MetricsCollectorSpec::default() },
        maximize: false,
        metrics: Vec::new(),
        rules: Vec::new(),
        base_dir,
        start_from: None,
        keep_checkpoint: false,
        checkpoint_path: None,
        artifacts: ArtifactsSpec::default(),
        start: None,
    }
}

/// Two ports that nobody listens on now. Whoever is quicker makes the server die, and the next gets others.
fn free_ports() -> Option<[u16; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok();
    let (one, other) = (listen()?, listen()?);
    Some([one.local_addr().ok()?.port(), other.local_addr().ok()?.port()])
}
