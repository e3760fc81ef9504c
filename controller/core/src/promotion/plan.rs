//! What comes next for a promotion. Pure: the same view and time give the same action.

use serde::{Deserialize, Serialize};

use super::audit::Deed;
use super::gate::{self, Measurement, Verdict};
use super::metadata::{self, Record};
use super::record::{Approval, Candidate, Evidence, Promotion, Version, WaitsFor};
use super::rollout::{Ground, Rollout, finish_problem};
use super::serving::Serving;
use super::state::{PromotionEvent, PromotionState, Stage, transition};
use super::wish::{PromotionWish, StoredPromotionWish, approval_problem};
use crate::time::Timestamp;

/// The name of the step that measures.
pub const EVALUATE: &str = "evaluate";
/// How often a step is begun anew that was lost through no fault of its own.
const MAX_LOST: u32 = 3;

/// Whose model is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The one that is to be promoted.
    Candidate,
    /// The one that is in place.
    Champion,
}

impl Role {
    /// Its name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Champion => "champion",
        }
    }
}

/// How far a measurement is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Evaluated {
    /// Nobody has begun, or nothing is known.
    #[default]
    Not,
    /// It is under way.
    Underway,
    /// It is there.
    Measured(Measurement),
    /// Its run was lost through no fault of its own.
    Lost(String),
    /// It failed.
    Failed(String),
}

/// Everything that the next step depends on.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The promotion.
    pub promotion: &'a Promotion,
    /// The champion of its model.
    pub champion: Option<&'a Version>,
    /// The version that it goes back to, if it is a rollback and there is one.
    pub back_to: Option<&'a Version>,
    /// The newest version's number; 0 before the first.
    pub last_version: u64,
    /// Number of a newer promotion of the model that has not ended.
    pub newer: Option<u64>,
    /// Number of an older promotion of the model whose candidate is being served.
    pub serving_older: Option<u64>,
    /// What people wish, oldest first.
    pub wishes: &'a [StoredPromotionWish],
    /// What reading the model has shown in this stage: the digest of the data, or what is wrong.
    pub verified: Option<&'a Result<String, String>>,
    /// The candidate's measurement.
    pub candidate: &'a Evaluated,
    /// The champion's measurement.
    pub measured_champion: &'a Evaluated,
    /// The servers of the model, and the router.
    pub ground: &'a Ground,
}

/// What is written down at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The promotion as it is then.
    pub promotion: Promotion,
    /// A new version of the model.
    pub version: Option<Version>,
    /// The version that is champion then.
    pub champion: Option<u64>,
    /// The servers of the model.
    pub serving: Option<Serving>,
    /// What is to be told to others.
    pub records: Vec<Record>,
    /// For the audit log.
    pub deeds: Vec<Deed>,
    /// Numbers of wishes that are carried out with it.
    pub taken: Vec<i64>,
}

/// Something to do in the world; done twice it has the effect of once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the candidate's files and the data, and compare digests.
    Verify,
    /// Measure a model.
    Evaluate(Role),
    /// Ask the candidate's server for its answer to the sample.
    Smoke,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write this down.
    Keep(Box<Change>),
    /// Do these.
    Do(Vec<Effect>),
    /// Nothing, until a person or a run says more, or until then.
    Wait(Option<Timestamp>),
    /// Nothing any more.
    Over,
}

/// What comes next for a promotion.
pub fn plan(now: Timestamp, view: &View<'_>) -> Action {
    let promotion = view.promotion;
    let change = Step { now, change: Change { promotion: promotion.clone(), ..Change::default() } };
    if promotion.state.is_final() {
        return change.over(view.wishes);
    }
    if promotion.state == PromotionState::RollingBack {
        return change.return_requests(view);
    }
    if !view.wishes.is_empty() {
        return change.hear(view);
    }
    if let Some(newer) = view.newer.filter(|_| !promotion.is_serving()) {
        let why = format!("promotion {}/{newer} of the same model has taken its place", promotion.model);
        return change.end(PromotionEvent::Superseded, why);
    }
    if promotion.state == PromotionState::Planned || promotion.waits_for() == Some(WaitsFor::Turn) {
        return match view.serving_older {
            Some(older) => change.queue(older),
            None => change.begin(view),
        };
    }
    match promotion.stage {
        Stage::Verify => match view.verified {
            None => Action::Do(vec![Effect::Verify]),
            Some(Err(problem)) => change.end(PromotionEvent::Failed, problem.clone()),
            Some(Ok(data)) => change.verified(view, data),
        },
        Stage::Evaluate => change.evaluate(view),
        Stage::Gate => change.judge(view),
        Stage::Approve => change.approve(view),
        Stage::Serve => change.serve(view),
        Stage::Register => match view.verified {
            None => Action::Do(vec![Effect::Verify]),
            Some(Err(problem)) => change.fail(view, problem.clone()),
            Some(Ok(data)) if *data != promotion.evidence.data => {
                change.fail(view, "the data was changed after the models were measured on it")
            }
            Some(Ok(_)) => change.register(view),
        },
    }
}

/// A change that is being made.
pub(super) struct Step {
    pub(super) now: Timestamp,
    pub(super) change: Change,
}

impl Step {
    pub(super) fn deed(&mut self, actor: &str, deed: &str, detail: impl Into<String>) {
        let promotion = &self.change.promotion;
        self.change.deeds.push(Deed {
            at: self.now,
            actor: actor.to_owned(),
            namespace: promotion.namespace.clone(),
            model: promotion.model.clone(),
            promotion: promotion.number,
            deed: deed.to_owned(),
            detail: detail.into(),
        });
    }

    pub(super) fn set(&mut self, event: PromotionEvent, message: impl Into<String>) {
        let promotion = &mut self.change.promotion;
        promotion.state = transition(promotion.state, event);
        promotion.message = message.into();
        if promotion.state.is_final() {
            promotion.ended = Some(self.now);
        }
    }

    pub(super) fn keep(self) -> Action {
        Action::Keep(Box::new(self.change))
    }

    /// The end of the promotion, for this reason.
    pub(super) fn end(mut self, event: PromotionEvent, why: impl Into<String>) -> Action {
        let why = why.into();
        self.set(event, why.clone());
        let deed = self.change.promotion.state.name();
        self.deed("cairn", deed, why);
        self.keep()
    }

    /// The next stage.
    pub(super) fn go_on(mut self, stage: Stage, message: impl Into<String>) -> Action {
        self.set(PromotionEvent::Proceeded, message);
        self.change.promotion.stage = stage;
        self.keep()
    }

    /// The failure of a promotion whose candidate may have got requests.
    fn fail(self, view: &View<'_>, why: impl Into<String>) -> Action {
        if view.promotion.is_serving() {
            self.turn_back(view, why)
        } else {
            self.end(PromotionEvent::Failed, why)
        }
    }

    /// Waits until an older one is through with the requests.
    fn queue(mut self, older: u64) -> Action {
        if self.change.promotion.state == PromotionState::Waiting {
            return Action::Wait(None);
        }
        let why = format!(
            "waits for promotion {}/{older}, whose candidate gets requests",
            self.change.promotion.model
        );
        self.set(PromotionEvent::Held, why);
        self.keep()
    }

    /// Wishes that come after the end are only taken away.
    fn over(mut self, wishes: &[StoredPromotionWish]) -> Action {
        if wishes.is_empty() {
            return Action::Over;
        }
        self.change.taken = wishes.iter().map(|stored| stored.wish_no).collect();
        self.keep()
    }

    fn hear(mut self, view: &View<'_>) -> Action {
        for StoredPromotionWish { wish_no, at, wish } in view.wishes {
            self.change.taken.push(*wish_no);
            match wish {
                PromotionWish::Cancel { by, reason } => {
                    let why = with(format!("cancelled by {by}"), reason);
                    self.deed(by, "cancelled", reason);
                    if view.promotion.rollout.as_ref().is_some_and(Rollout::has_requests) {
                        self.turned_back(view, why);
                    } else {
                        self.dismiss(view, self.now);
                        self.set(PromotionEvent::Cancelled, why);
                    }
                }
                PromotionWish::Finish { by, reason } => {
                    if let Some(problem) = finish_problem(&self.change.promotion) {
                        self.deed(by, "finishRefused", problem);
                        continue;
                    }
                    self.deed(by, "finished", reason);
                    let message = with(format!("all requests go to it, as {by} wants"), reason);
                    self.finished(view, &message);
                }
                PromotionWish::Approve { by, reason, digest } => {
                    if let Some(problem) = approval_problem(&self.change.promotion, by, digest) {
                        self.deed(by, "approvalRefused", problem);
                        continue;
                    }
                    let approval =
                        Approval { by: by.clone(), reason: reason.clone(), digest: digest.clone(), at: *at };
                    self.change.promotion.approval = Some(approval);
                    self.deed(by, "approved", with(format!("model {digest}"), reason));
                }
            }
        }
        self.keep()
    }

    fn begin(mut self, view: &View<'_>) -> Action {
        let promotion = &view.promotion;
        let digest = &promotion.candidate.artifact.digest;
        let (who, name) = (promotion.author.clone(), promotion.candidate.trial_name.clone());
        if let Some(problem) = nothing_to_promote(promotion) {
            return self.end(PromotionEvent::Failed, problem);
        }
        // A champion that is served no more may be served again.
        let is_started = |champion: &Version| {
            promotion.back_to == Some(champion.number)
                && champion.serving.is_some()
                && view.ground.serving.main().is_none()
        };
        let is_same = |champion: &&Version| champion.digest() == digest && !is_started(champion);
        let Some(champion) = view.champion.filter(is_same) else {
            let what = match promotion.back_to {
                Some(version) => format!("back to version {version}"),
                None => format!("model {digest} of trial {name}"),
            };
            self.deed(&who, "wanted", what);
            return self.go_on(Stage::Verify, "the model is read");
        };
        let why = format!("the candidate is the champion already, as version {}", champion.number);
        self.end(PromotionEvent::Skipped, why)
    }

    fn verified(mut self, view: &View<'_>, data: &str) -> Action {
        let promotion = &mut self.change.promotion;
        data.clone_into(&mut promotion.evidence.data);
        if promotion.back_to.is_some() {
            return self.agreed(view, "the model is as it was");
        }
        let has_step = promotion.spec.pipeline.as_ref().is_some_and(|p| p.step(EVALUATE).is_some());
        if has_step {
            return self.go_on(Stage::Evaluate, format!("models are measured by the step `{EVALUATE}`"));
        }
        self.go_on(Stage::Gate, "the model is as it was sealed")
    }

    fn evaluate(mut self, view: &View<'_>) -> Action {
        let promotion = view.promotion;
        let wants_champion = promotion.spec.gate.as_ref().is_some_and(|gate| gate.improves_on.is_some());
        let champion = view.champion.filter(|_| wants_champion);
        let evidence = &promotion.evidence;
        let mut effects = Vec::new();
        let mut lost = Vec::new();
        let mut waits = false;
        let mut found = Evidence { against: champion.map(|version| version.number), ..evidence.clone() };
        for (role, evaluated) in [(Role::Candidate, view.candidate), (Role::Champion, view.measured_champion)]
        {
            let known = match role {
                Role::Candidate => evidence.candidate.clone(),
                Role::Champion => {
                    let Some(version) = champion else { continue };
                    let same = evidence.against == Some(version.number);
                    evidence.champion.clone().filter(|_| same).or_else(|| remembered(promotion, version))
                }
            };
            let slot = match role {
                Role::Candidate => &mut found.candidate,
                Role::Champion => &mut found.champion,
            };
            *slot = known;
            if slot.is_some() {
                continue;
            }
            match evaluated {
                Evaluated::Not => effects.push(Effect::Evaluate(role)),
                Evaluated::Underway => waits = true,
                Evaluated::Measured(measurement) => *slot = Some(measurement.clone()),
                Evaluated::Lost(why) => lost.push((role, why)),
                Evaluated::Failed(why) => {
                    let why = format!("the {} could not be measured: {why}", role.name());
                    return self.end(PromotionEvent::Failed, why);
                }
            }
        }
        if !lost.is_empty() {
            for (role, why) in lost {
                let times = self.change.promotion.lost.entry(role.name().to_owned()).or_default();
                *times += 1;
                if *times > MAX_LOST {
                    let why = format!("the {} could not be measured: lost {times} times: {why}", role.name());
                    return self.end(PromotionEvent::Failed, why);
                }
            }
            return self.keep();
        }
        if !effects.is_empty() {
            return Action::Do(effects);
        }
        if waits {
            return Action::Wait(None);
        }
        self.change.promotion.evidence = found;
        self.go_on(Stage::Gate, "measured")
    }

    fn judge(mut self, view: &View<'_>) -> Action {
        let promotion = view.promotion;
        let Some(gate) = &promotion.spec.gate else {
            return self.go_on(Stage::Approve, "no gate was asked for");
        };
        let evidence = &promotion.evidence;
        let Some(candidate) = &evidence.candidate else {
            return self.end(PromotionEvent::Failed, "there is no measurement to judge by");
        };
        let message = |comparison: &Option<gate::Comparison>| match (comparison, evidence.against) {
            (Some(found), Some(version)) => {
                format!(
                    "`{}` {}: better than version {version} by {:.4}",
                    gate.metric, candidate.value, found.difference
                )
            }
            _ => format!("`{}` {}: good enough", gate.metric, candidate.value),
        };
        match gate::judge(gate, candidate, evidence.champion.as_ref(), promotion.id.0.unsigned_abs()) {
            Verdict::Passed(comparison) => {
                let message = message(&comparison);
                self.change.promotion.evidence.comparison = comparison;
                self.deed("cairn", "passed", message.clone());
                self.go_on(Stage::Approve, message)
            }
            Verdict::TooBad(why) | Verdict::Unclear(why) => self.end(PromotionEvent::Failed, why),
            Verdict::NotBetter(comparison, why) => {
                self.change.promotion.evidence.comparison = Some(comparison);
                self.end(PromotionEvent::Skipped, why)
            }
        }
    }

    fn approve(mut self, view: &View<'_>) -> Action {
        let (now, promotion) = (self.now, &self.change.promotion);
        let Some(wanted) = &promotion.spec.approval else {
            return self.agreed(view, "no approval was asked for");
        };
        if let Some(approval) = &promotion.approval {
            let message = format!("approved by {}", approval.by);
            return self.agreed(view, message);
        }
        if promotion.waiting_since.is_none() {
            let who = if wanted.by.is_empty() {
                format!("anyone but {}", promotion.author)
            } else {
                wanted.by.join(" or ")
            };
            let message = format!("waits for the approval of {who}: {}", promotion.message);
            self.change.promotion.waiting_since = Some(now);
            self.set(PromotionEvent::Held, message);
            return self.keep();
        }
        match promotion.approval_ends() {
            Some(end) if now >= end => {
                let text = wanted.expires.clone().unwrap_or_default();
                self.end(PromotionEvent::Failed, format!("nobody approved it within {text}"))
            }
            until => Action::Wait(until),
        }
    }

    fn register(mut self, view: &View<'_>) -> Action {
        let promotion = view.promotion;
        let replaced = view.champion.map(|champion| champion.number);
        let replaced = replaced.filter(|replaced| Some(*replaced) != promotion.back_to);
        let judged = promotion.spec.gate.as_ref().is_some_and(|gate| gate.improves_on.is_some());
        if promotion.rollout.is_none()
            && promotion.back_to.is_none()
            && judged
            && replaced != promotion.evidence.against
        {
            // Another one has become champion meanwhile: what was compared is no more what is replaced.
            return self.go_on(Stage::Evaluate, "another champion is in place now");
        }
        let number = match (promotion.back_to, view.back_to) {
            (Some(number), Some(_)) => number,
            (Some(number), None) => {
                return self.fail(view, format!("there is no version {number} to go back to"));
            }
            (None, _) => {
                let number = view.last_version + 1;
                let kept = view.champion.and_then(|champion| champion.metadata.clone());
                let mut new = version(promotion, number, self.now);
                new.metadata = new.metadata.or(kept);
                self.change.version = Some(new);
                number
            }
        };
        if let Some(version) = self.change.version.as_ref().or(view.back_to) {
            self.change.records = metadata::records(promotion, version, view.champion, self.now);
        }
        self.change.champion = Some(number);
        self.change.promotion.version = Some(number);
        self.change.promotion.replaced = replaced;
        self.settle(view, number);
        let instead = replaced.map_or(String::new(), |old| format!(" in place of version {old}"));
        self.end(PromotionEvent::Done, format!("version {number} is the champion{instead}"))
    }
}

/// Why there is nothing to promote, if there is not.
fn nothing_to_promote(promotion: &Promotion) -> Option<String> {
    let Candidate { artifact, trial_name, experiment, .. } = &promotion.candidate;
    if trial_name.is_empty() {
        return Some(format!("experiment {experiment} has no best trial"));
    }
    if artifact.uri.is_empty() {
        return Some(format!("trial {trial_name} left nothing in CAIRN_MODEL_DIR; save the model there"));
    }
    artifact.digest.is_empty().then(|| {
        format!(
            "trial {trial_name} says that its model is at {}, and nobody knows its digest; save it in CAIRN_MODEL_DIR, or \
             report it with its sha256",
            artifact.uri
        )
    })
}

/// What a version reached when it was a candidate, if that was measured alike on the same data.
fn remembered(promotion: &Promotion, version: &Version) -> Option<Measurement> {
    let gate = promotion.spec.gate.as_ref()?;
    let same = !promotion.evidence.data.is_empty()
        && version.evidence.data == promotion.evidence.data
        && version.metric == gate.metric
        && version.step == promotion.spec.pipeline.as_ref().and_then(|p| p.step(EVALUATE)).cloned();
    version.evidence.candidate.clone().filter(|_| same)
}

fn version(promotion: &Promotion, number: u64, at: Timestamp) -> Version {
    Version {
        namespace: promotion.namespace.clone(),
        model: promotion.model.clone(),
        number,
        candidate: promotion.candidate.clone(),
        promotion: promotion.number,
        author: promotion.author.clone(),
        approval: promotion.approval.clone(),
        evidence: promotion.evidence.clone(),
        metric: promotion.spec.gate.as_ref().map(|gate| gate.metric.clone()).unwrap_or_default(),
        step: promotion.spec.pipeline.as_ref().and_then(|p| p.step(EVALUATE)).cloned(),
        serving: promotion.spec.serving.clone(),
        metadata: promotion.spec.metadata.clone(),
        base_dir: promotion.base_dir.clone(),
        at,
    }
}

/// A sentence with its reason, if there is one.
fn with(what: String, reason: &str) -> String {
    if reason.is_empty() { what } else { format!("{what}: {reason}") }
}

#[cfg(test)]
mod tests;
