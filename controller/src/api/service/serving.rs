//! What is served, and what was.

use controller_core::promotion::guard::bound;
use controller_core::promotion::{Counts, Promotion, Rollout, Serving};
use controller_core::time::Timestamp;

use crate::api::types::{RolloutView, ServedView, ServerView};
use crate::router::Home;

/// The address of a model, where it is served.
pub(super) fn url(serving: &Serving, home: &Home) -> Option<String> {
    serving.main()?;
    home.address().map(|address| format!("http://{address}{}", serving.path()))
}

/// The servers of a model, the one with the most requests first.
pub(super) fn servers(serving: &Serving) -> Vec<ServerView> {
    let mut deployments: Vec<_> = serving.deployments.iter().collect();
    deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.weight));
    let view = |deployment: &&controller_core::promotion::Deployment| ServerView {
        name: deployment.name.clone(),
        version: deployment.version,
        promotion: deployment.promotion,
        digest: deployment.artifact.digest.clone(),
        template: deployment.spec.template.clone(),
        weight: deployment.weight,
        address: (deployment.port > 0).then(|| format!("127.0.0.1:{}", deployment.port)),
        since: deployment.since.to_rfc3339(),
        warm_until: deployment.warm_until.map(Timestamp::to_rfc3339),
    };
    deployments.iter().map(view).collect()
}

/// When a model of this digest got requests.
pub(super) fn served(serving: &Serving, digest: &str) -> Vec<ServedView> {
    let mut periods: Vec<ServedView> = Vec::new();
    let mut is_open = false;
    for shift in &serving.shifts {
        let share = shift.shares.iter().find(|(other, _)| other == digest).map(|(_, share)| *share);
        match (share, is_open) {
            (Some(share), true) => {
                if let Some(period) = periods.last_mut() {
                    period.shares.push(share);
                }
            }
            (Some(share), false) => {
                periods.push(ServedView { from: shift.at.to_rfc3339(), to: None, shares: vec![share] });
            }
            (None, true) => {
                if let Some(period) = periods.last_mut() {
                    period.to = Some(shift.at.to_rfc3339());
                }
            }
            (None, false) => {}
        }
        is_open = share.is_some();
    }
    periods
}

/// How far requests have moved to a candidate.
pub(super) fn rollout(promotion: &Promotion) -> Option<RolloutView> {
    let rollout = promotion.rollout.as_ref()?;
    let spec = promotion.spec.serving.clone().unwrap_or_default();
    let p95 = |counts: &Counts| counts.class_p95().map(|class| bound(class) * 1000.0);
    let Rollout { candidate, champion, .. } = rollout;
    Some(RolloutView {
        server: rollout.deployment.clone(),
        phase: serde_json::to_value(rollout.phase).ok().and_then(|phase| phase.as_str().map(str::to_owned)),
        weight: rollout.weight,
        ladder: spec.ladder(),
        since: rollout.since.to_rfc3339(),
        smoke: rollout.smoke.clone(),
        step_requests: candidate.requests.saturating_sub(rollout.before_step),
        min_requests: spec.min_requests.unwrap_or(0),
        requests: candidate.requests,
        errors: candidate.errors,
        p95_ms: p95(candidate),
        compared: candidate.compared,
        disagreed: candidate.disagreed,
        champion_requests: champion.requests,
        champion_errors: champion.errors,
        champion_p95_ms: p95(champion),
        guards: rollout.guards.iter().map(ToString::to_string).collect(),
        why: rollout.why.clone(),
    })
}
