//! How requests move over to a candidate, step by step, and back if a guard says so. The serving part of [`mod@super::plan`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guard::{Counts, Guard};
use super::plan::{Action, Effect, Step, View};
use super::record::Promotion;
use super::serving::{Deployment, MLSERVER, Seen, Serving};
use super::state::{PromotionEvent, Stage};
use crate::duration;
use crate::spec::{ServingMode, ServingSpec};
use crate::time::Timestamp;

/// How long requests may go uncounted before that is a breach.
const UNCOUNTED: Duration = Duration::from_secs(30);
/// How long it may take until the requests are with the champion again.
const RETURN_WITHIN: Duration = Duration::from_mins(1);

/// How far a rollout is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// The candidate's server starts.
    #[default]
    Starting,
    /// It has to answer the sample.
    Smoke,
    /// It gets a copy of each request, and its answers go to nobody.
    Shadow,
    /// It gets a share of the requests.
    Canary,
    /// It gets all of them, and is looked at.
    Bake,
    /// It gets all of them.
    Whole,
}

/// How far requests have moved to a candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// Name of the candidate's deployment.
    pub deployment: String,
    /// Name of the deployment that had the requests before, if one had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// Which share of the ladder, from 0.
    pub step: usize,
    /// The share in percent.
    pub weight: u32,
    /// What the candidate had answered when the share began.
    pub before_step: u64,
    /// When the counting that was last looked at began.
    pub counted_since: i64,
    /// The counters of the candidate as last seen.
    pub seen_candidate: Counts,
    /// Those of the champion.
    pub seen_champion: Counts,
    /// What the candidate has answered in this rollout.
    pub candidate: Counts,
    /// What the champion has answered beside it.
    pub champion: Counts,
    /// The guards with what they have seen.
    pub guards: Vec<Guard>,
    /// What the smoke test has shown.
    pub smoke: String,
    /// Why it goes back, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the router has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// When its counting began.
    pub since: i64,
    /// The split that it goes by.
    pub generation: u64,
    /// What it has counted, by deployment.
    pub counts: BTreeMap<String, Counts>,
    /// What it has counted of copies, by deployment.
    pub copies: BTreeMap<String, Counts>,
    /// How many requests are on their way, by deployment.
    pub in_flight: BTreeMap<String, u64>,
}

/// What is known of the servers and the router.
#[derive(Clone, Debug, Default)]
pub struct Ground {
    /// The servers of the model, as they are written down.
    pub serving: Serving,
    /// What is seen of them, by deployment.
    pub seen: BTreeMap<String, Seen>,
    /// The last lines that the candidate's server has said, as long as it is not ready.
    pub tail: String,
    /// What the smoke test of the candidate has shown.
    pub smoke: Option<Result<String, String>>,
    /// What the router has counted, if it says so now.
    pub telemetry: Option<Telemetry>,
    /// When it last did, or when it was first asked.
    pub counted_at: Timestamp,
    /// Why it does not, if that is known.
    pub no_router: String,
}

impl Rollout {
    /// Whether the candidate has got requests.
    pub fn has_requests(&self) -> bool {
        matches!(self.phase, Phase::Canary | Phase::Bake | Phase::Whole)
    }

    /// Why it cannot be finished by hand now, if so.
    fn finish_problem(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Starting | Phase::Smoke => Some("its server has not answered the sample yet"),
            Phase::Whole => Some("it gets all requests already"),
            Phase::Shadow | Phase::Canary | Phase::Bake => None,
        }
    }

    /// Takes in what the router has counted since the last look; whether that was anything.
    fn count(&mut self, telemetry: &Telemetry) -> bool {
        if self.counted_since != telemetry.since {
            self.counted_since = telemetry.since;
            (self.seen_candidate, self.seen_champion) =
                (self.seen_candidate.labels(), self.seen_champion.labels());
        }
        let of_candidate = if self.phase == Phase::Shadow { &telemetry.copies } else { &telemetry.counts };
        let candidate = of_candidate.get(&self.deployment).cloned().unwrap_or_default();
        let champion = self.previous.as_ref().and_then(|name| telemetry.counts.get(name));
        let champion = champion.cloned().unwrap_or_default();
        let more = (candidate.since(&self.seen_candidate), champion.since(&self.seen_champion));
        (self.seen_candidate, self.seen_champion) = (candidate, champion);
        if more.0.is_empty() && more.1.is_empty() {
            return false;
        }
        for guard in &mut self.guards {
            guard.look(&more.0, &more.1, &self.champion);
        }
        self.candidate.add(&more.0);
        self.champion.add(&more.1);
        for guard in &mut self.guards {
            guard.weigh(&self.candidate, &self.champion);
        }
        true
    }

    /// Why the requests have to go back, if they have to.
    fn breach(&self) -> Option<String> {
        let n = self.guards.len();
        self.guards.iter().find_map(|guard| guard.breach(n, &self.candidate, &self.champion))
    }
}

/// The part of a step that serves.
impl Step {
    /// What comes after everyone has agreed: serving, if it is wanted or the champion is served, else the record.
    pub(super) fn agreed(mut self, view: &View<'_>, message: impl Into<String>) -> Action {
        // As the champion is to be served: what a rollback does at once, it does once.
        let served = || {
            let main = view.ground.serving.main()?;
            let of_champion = view.champion.and_then(|champion| champion.serving.clone());
            let spec = of_champion.unwrap_or_else(|| main.spec.clone());
            Some(if view.promotion.back_to.is_some() { spec.at_once() } else { spec })
        };
        let Some(spec) = view.promotion.spec.serving.clone().or_else(served) else {
            return self.go_on(Stage::Register, message);
        };
        self.change.promotion.spec.serving = Some(spec);
        self.go_on(Stage::Serve, message)
    }

    /// The stage `serve`.
    pub(super) fn serve(mut self, view: &View<'_>) -> Action {
        let spec = view.promotion.spec.serving.clone().unwrap_or_default();
        let Some(rollout) = &view.promotion.rollout else { return self.deploy(view, &spec) };
        let Some(deployment) = view.ground.serving.find(&rollout.deployment) else {
            return self.end(PromotionEvent::Failed, "its server was taken away");
        };
        let seen = view.ground.seen.get(&rollout.deployment).cloned().unwrap_or_default();
        let died = match &seen {
            Seen::Died(why) if deployment.is_given_up() => Some(format!("its server has ended: {why}")),
            Seen::Refused(why) => Some(format!("its server cannot be started: {why}")),
            _ => None,
        };
        let limit = rollout.since.plus(spec.is_ready_within());
        match rollout.phase {
            Phase::Starting | Phase::Smoke if died.is_some() => {
                self.give_up(view, PromotionEvent::Failed, died.unwrap_or_default())
            }
            Phase::Starting if seen == Seen::Ready => {
                self.rollout(|rollout| rollout.phase = Phase::Smoke);
                self.keep()
            }
            Phase::Starting if self.now >= limit => {
                let within = duration::show(spec.is_ready_within());
                let said = tail(&view.ground.tail);
                self.give_up(
                    view,
                    PromotionEvent::Failed,
                    format!("its server was not ready within {within}{said}"),
                )
            }
            Phase::Starting => Action::Wait(Some(limit)),
            Phase::Smoke => match (&view.ground.smoke, &view.ground.telemetry) {
                (None, _) => Action::Do(vec![Effect::Smoke]),
                (Some(Err(why)), _) => self.give_up(view, PromotionEvent::Failed, why.clone()),
                (Some(Ok(shown)), Some(telemetry)) => self.begin_ladder(view, &spec, shown, telemetry),
                (Some(Ok(_)), None) if self.is_uncounted(view) => {
                    self.give_up(view, PromotionEvent::Failed, no_router(view))
                }
                (Some(Ok(_)), None) => Action::Wait(Some(view.ground.counted_at.plus(UNCOUNTED))),
            },
            Phase::Shadow | Phase::Canary | Phase::Bake => self.watch(view, &spec, died),
            Phase::Whole => self.whole(view, died),
        }
    }

    /// Writes down the candidate's server.
    fn deploy(mut self, view: &View<'_>, spec: &ServingSpec) -> Action {
        let promotion = view.promotion;
        let format = &promotion.candidate.artifact.format;
        if spec.template == MLSERVER
            && matches!(format.as_str(), "onnx" | "pytorch" | "tensorflow" | "safetensors")
        {
            let why = format!(
                "the template `mlserver` serves no model of format `{format}`; use `template: custom`"
            );
            return self.end(PromotionEvent::Failed, why);
        }
        let fresh = Deployment::of(promotion, spec);
        let mut serving = named(&view.ground.serving, promotion);
        let previous = serving.main().map(|main| main.name.clone()).filter(|name| *name != fresh.name);
        self.change.promotion.rollout = Some(Rollout {
            deployment: fresh.name.clone(),
            previous,
            since: self.now,
            guards: spec.guards.iter().filter_map(Guard::of).collect(),
            ..Rollout::default()
        });
        match serving.find_mut(&fresh.name) {
            // One that is still warm.
            Some(there) => {
                (there.spec, there.promotion) = (fresh.spec, fresh.promotion);
                there.warm_until = None;
            }
            None => serving.deployments.push(fresh),
        }
        self.change.serving = Some(serving);
        self.go_on(Stage::Serve, "its server starts")
    }

    fn begin_ladder(
        mut self,
        view: &View<'_>,
        spec: &ServingSpec,
        shown: &str,
        telemetry: &Telemetry,
    ) -> Action {
        let mode = spec.mode();
        let mut is_copied = false;
        self.rollout(|rollout| {
            shown.clone_into(&mut rollout.smoke);
            is_copied = mode == ServingMode::Shadow && rollout.previous.is_some();
            if is_copied {
                rollout.phase = Phase::Shadow;
            }
            // Whatever was counted before is none of this rollout.
            rollout.count(telemetry);
            (rollout.candidate, rollout.champion) = Default::default();
            rollout.guards = spec.guards.iter().filter_map(Guard::of).collect();
            if mode == ServingMode::BlueGreen {
                // But the champion answers nothing beside the candidate, and is judged by what it has answered before.
                rollout.champion = rollout.seen_champion.clone();
                rollout.guards.iter_mut().for_each(|guard| guard.before = true);
            }
        });
        self.deed("cairn", "answered", shown);
        if is_copied { self.copy(view, spec) } else { self.share(view, spec, 0) }
    }

    /// Gives the candidate a copy of each request.
    fn copy(mut self, view: &View<'_>, spec: &ServingSpec) -> Action {
        let mut serving = view.ground.serving.clone();
        let name = self.change.promotion.rollout.as_ref().map(|rollout| rollout.deployment.clone());
        if let Some(there) = serving.find_mut(&name.unwrap_or_default()) {
            there.shadow = true;
        }
        serving.generation += 1;
        self.change.serving = Some(serving);
        let now = self.now;
        self.rollout(|rollout| rollout.since = now);
        let what = "it gets a copy of each request, and its answers go to nobody";
        self.deed("cairn", "copied", what);
        self.set(PromotionEvent::Held, format!("{what}{}", until(spec)));
        self.keep()
    }

    /// Gives the candidate a share of the requests.
    fn share(mut self, view: &View<'_>, spec: &ServingSpec, step: usize) -> Action {
        let Some(rollout) = self.change.promotion.rollout.clone() else { return self.keep() };
        let alone = rollout.previous.is_none();
        let weight = spec.ladder().get(step).copied().filter(|_| !alone).unwrap_or(100);
        let is_watched = !alone && spec.mode() == ServingMode::BlueGreen && spec.takes_time();
        let mut serving = view.ground.serving.clone();
        serving.split(
            self.now,
            view.promotion.number,
            (&rollout.deployment, weight),
            rollout.previous.as_deref(),
        );
        self.change.serving = Some(serving);
        let now = self.now;
        self.rollout(|rollout| {
            rollout.phase = match weight {
                100 if is_watched => Phase::Bake,
                100 => Phase::Whole,
                _ => Phase::Canary,
            };
            (rollout.step, rollout.weight, rollout.since) = (step, weight, now);
            rollout.before_step = rollout.candidate.requests;
        });
        let share = format!("{weight} % of the requests go to it");
        self.deed("cairn", "served", share.clone());
        if weight == 100 && !is_watched {
            self.set(PromotionEvent::Proceeded, share);
        } else {
            self.set(PromotionEvent::Held, format!("{share}{}", until(spec)));
        }
        self.keep()
    }

    /// Looks at what the candidate makes of its share, or of its copies, and goes on when that was enough.
    fn watch(mut self, view: &View<'_>, spec: &ServingSpec, died: Option<String>) -> Action {
        if let Some(why) = died {
            return self.reject(view, why);
        }
        let Some(telemetry) = &view.ground.telemetry else {
            if self.is_uncounted(view) {
                return self.reject(view, no_router(view));
            }
            return Action::Wait(Some(view.ground.counted_at.plus(UNCOUNTED)));
        };
        let mut counted = false;
        self.rollout(|rollout| counted = rollout.count(telemetry));
        let Some(rollout) = self.change.promotion.rollout.clone() else { return self.keep() };
        if let Some(why) = rollout.breach() {
            return self.reject(view, why);
        }
        let answered = rollout.candidate.requests - rollout.before_step;
        let baked = rollout.since.plus(spec.bakes());
        if self.now >= baked && answered >= spec.min_requests.unwrap_or(0) && !spec.stands() {
            return match rollout.phase {
                Phase::Shadow => {
                    // From now on its requests count, not its copies.
                    let seen = telemetry.counts.get(&rollout.deployment).cloned().unwrap_or_default();
                    self.rollout(|rollout| rollout.seen_candidate = seen);
                    self.share(view, spec, 0)
                }
                Phase::Bake => self.finish(view, "all requests go to it"),
                _ => self.share(view, spec, rollout.step + 1),
            };
        }
        if counted { self.keep() } else { Action::Wait(Some(baked).filter(|baked| *baked > self.now)) }
    }

    /// Gives the candidate all requests, and goes on.
    fn finish(mut self, view: &View<'_>, message: &str) -> Action {
        self.finished(view, message);
        self.keep()
    }

    /// The same as a part of a change.
    pub(super) fn finished(&mut self, view: &View<'_>, message: &str) {
        let (now, rollout) = (self.now, view.promotion.rollout.clone().unwrap_or_default());
        if rollout.weight < 100 {
            let mut serving = view.ground.serving.clone();
            serving.split(now, view.promotion.number, (&rollout.deployment, 100), None);
            self.change.serving = Some(serving);
            self.deed("cairn", "served", "100 % of the requests go to it");
        }
        self.rollout(|rollout| {
            rollout.phase = Phase::Whole;
            (rollout.weight, rollout.since) = (100, now);
        });
        self.set(PromotionEvent::Proceeded, message);
    }

    /// Ends the rollout of a candidate that is not good enough.
    fn reject(self, view: &View<'_>, why: impl Into<String>) -> Action {
        if view.promotion.rollout.as_ref().is_some_and(Rollout::has_requests) {
            self.turn_back(view, why)
        } else {
            self.give_up(view, PromotionEvent::Failed, why)
        }
    }

    fn whole(self, view: &View<'_>, died: Option<String>) -> Action {
        let rollout = view.promotion.rollout.clone().unwrap_or_default();
        if let Some(why) = died {
            return self.turn_back(view, why);
        }
        let limit = rollout.since.plus(RETURN_WITHIN);
        if is_settled(view) {
            return self.go_on(Stage::Register, "all requests go to it");
        }
        if self.now >= limit { self.turn_back(view, no_router(view)) } else { Action::Wait(Some(limit)) }
    }

    /// Ends a rollout whose candidate has got no request yet.
    pub(super) fn give_up(
        mut self,
        view: &View<'_>,
        event: PromotionEvent,
        why: impl Into<String>,
    ) -> Action {
        self.dismiss(view, self.now);
        self.end(event, why)
    }

    /// Sends all requests back to where they were.
    pub(super) fn turn_back(mut self, view: &View<'_>, why: impl Into<String>) -> Action {
        self.turned_back(view, why);
        self.keep()
    }

    /// The same as a part of a change.
    pub(super) fn turned_back(&mut self, view: &View<'_>, why: impl Into<String>) {
        let (why, now) = (why.into(), self.now);
        let rollout = view.promotion.rollout.clone().unwrap_or_default();
        let mut serving = view.ground.serving.clone();
        let back = rollout.previous.as_deref().unwrap_or_default();
        serving.split(now, view.promotion.number, (back, 100), None);
        self.change.serving = Some(serving);
        self.rollout(|rollout| {
            (rollout.since, rollout.weight) = (now, 0);
            rollout.why = Some(why.clone());
        });
        self.set(PromotionEvent::TurnedBack, why.clone());
        self.deed("cairn", "rollingBack", why);
    }

    /// Waits until the requests are with the champion again.
    pub(super) fn return_requests(mut self, view: &View<'_>) -> Action {
        // Nobody can stop it any more.
        self.change.taken = view.wishes.iter().map(|stored| stored.wish_no).collect();
        let rollout = view.promotion.rollout.clone().unwrap_or_default();
        let why = rollout.why.unwrap_or_default();
        let limit = rollout.since.plus(RETURN_WITHIN);
        if is_settled(view) {
            self.dismiss(view, self.now);
            return self.end(PromotionEvent::Returned, why);
        }
        if self.now >= limit {
            let why = format!(
                "the requests could not be sent back, {}; they were to go back since {why}",
                no_router(view)
            );
            // Some of them may still go to it.
            let keeps = view.promotion.spec.serving.clone().unwrap_or_default().keeps_previous();
            self.dismiss(view, self.now.plus(keeps));
            return self.end(PromotionEvent::Stuck, why);
        }
        if self.change.taken.is_empty() { Action::Wait(Some(limit)) } else { self.keep() }
    }

    /// The candidate is the champion: its server stays, the one before stays warm for a while.
    pub(super) fn settle(&mut self, view: &View<'_>, version: u64) {
        let Some(rollout) = &view.promotion.rollout else { return };
        let keeps = view.promotion.spec.serving.clone().unwrap_or_default().keeps_previous();
        let mut serving = view.ground.serving.clone();
        for deployment in &mut serving.deployments {
            if deployment.name == rollout.deployment {
                (deployment.on_trial, deployment.version) = (false, Some(version));
            } else if Some(&deployment.name) == rollout.previous.as_ref() {
                deployment.warm_until = Some(self.now.plus(keeps));
            }
        }
        self.change.serving = Some(serving);
    }

    /// The candidate's server goes, at that time.
    pub(super) fn dismiss(&mut self, view: &View<'_>, at: Timestamp) {
        let Some(rollout) = &view.promotion.rollout else { return };
        let mut serving = view.ground.serving.clone();
        if let Some(deployment) = serving.find_mut(&rollout.deployment) {
            deployment.warm_until = Some(at);
            if std::mem::take(&mut deployment.shadow) {
                serving.generation += 1;
            }
        }
        self.change.serving = Some(serving);
    }

    fn rollout(&mut self, change: impl FnOnce(&mut Rollout)) {
        if let Some(rollout) = &mut self.change.promotion.rollout {
            change(rollout);
        }
    }

    fn is_uncounted(&self, view: &View<'_>) -> bool {
        self.now >= view.ground.counted_at.plus(UNCOUNTED)
    }
}

/// Why a promotion cannot be finished by hand now, if so.
pub fn finish_problem(promotion: &Promotion) -> Option<String> {
    let name = promotion.name();
    if promotion.state.is_final() {
        return Some(format!("promotion {name} is {} already", promotion.state.name()));
    }
    let problem = match &promotion.rollout {
        None => Some("its candidate is not served yet"),
        Some(rollout) if rollout.why.is_some() => Some("its requests go back"),
        Some(rollout) => rollout.finish_problem(),
    };
    problem.map(|problem| format!("promotion {name} cannot be finished: {problem}"))
}

/// Whether the router goes by the split that is written down.
fn is_settled(view: &View<'_>) -> bool {
    let wanted = view.ground.serving.generation;
    view.ground.telemetry.as_ref().is_some_and(|telemetry| telemetry.generation >= wanted)
}

/// The record of a model's servers, with its name where it is new.
fn named(serving: &Serving, promotion: &Promotion) -> Serving {
    Serving {
        cluster: promotion.cluster.clone(),
        namespace: promotion.namespace.clone(),
        model: promotion.model.clone(),
        ..serving.clone()
    }
}

fn no_router(view: &View<'_>) -> String {
    let why = &view.ground.no_router;
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!("the router does not say what it has counted{why}; missing telemetry is a breach")
}

fn tail(lines: &str) -> String {
    if lines.is_empty() { "; it has said nothing".into() } else { format!("; it said last: {lines}") }
}

/// How long a share lasts, in words.
fn until(spec: &ServingSpec) -> String {
    let bakes = spec.bakes();
    let time = (!bakes.is_zero()).then(|| duration::show(bakes));
    let requests = spec.min_requests.filter(|min| *min > 0).map(|min| format!("{min} requests"));
    if spec.stands() {
        return ", until `cairn promotion finish` or `cancel` ends it".into();
    }
    match (time, requests) {
        (Some(time), Some(requests)) => format!(", for at least {time} and {requests}"),
        (Some(one), None) | (None, Some(one)) => format!(", for at least {one}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests;
