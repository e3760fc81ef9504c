//! The states of a promotion.

use serde::{Deserialize, Serialize};

/// Where a promotion stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PromotionState {
    /// Written down, not begun.
    #[default]
    Planned,
    /// A stage of it is carried out.
    Running,
    /// For a person's approval, for its turn, or for its share of the requests to bake.
    Waiting,
    /// Its candidate is the champion.
    Succeeded,
    /// It ended without; the champion is untouched.
    Failed,
    /// A person ended it.
    Cancelled,
    /// A newer one has taken its place.
    Superseded,
    /// There was nothing to do: the candidate is the champion already, or no better.
    Skipped,
    /// Its candidate got requests, and they are sent back to the champion.
    RollingBack,
    /// They are with the champion again.
    RolledBack,
    /// They could not be sent back; a person has to look.
    RollbackFailed,
}

impl PromotionState {
    /// All states, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Planned,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
        Self::Skipped,
        Self::RollingBack,
        Self::RolledBack,
        Self::RollbackFailed,
    ];

    /// Whether nothing more happens to it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Planned | Self::Running | Self::Waiting | Self::RollingBack)
    }

    /// Its name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Skipped => "skipped",
            Self::RollingBack => "rollingBack",
            Self::RolledBack => "rolledBack",
            Self::RollbackFailed => "rollbackFailed",
        }
    }
}

/// What can happen to a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotionEvent {
    /// It goes on: its first stage begins, or what it waited for has come.
    Proceeded,
    /// It has to wait.
    Held,
    /// Its last stage is done.
    Done,
    /// A stage failed.
    Failed,
    /// A person ended it.
    Cancelled,
    /// A newer one takes its place.
    Superseded,
    /// There is nothing to do.
    Skipped,
    /// A guard, a person or a failure sends the requests back.
    TurnedBack,
    /// The requests are with the champion again.
    Returned,
    /// They cannot be sent back.
    Stuck,
}

impl PromotionEvent {
    /// All events, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Proceeded,
        Self::Held,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
        Self::Skipped,
        Self::TurnedBack,
        Self::Returned,
        Self::Stuck,
    ];
}

/// The state after an event. Total: a final state stays, and an event that makes no sense changes nothing.
#[must_use]
pub fn transition(state: PromotionState, event: PromotionEvent) -> PromotionState {
    use PromotionEvent as E;
    use PromotionState as S;
    match (state, event) {
        (state, _) if state.is_final() => state,
        // From here it can only come back.
        (S::RollingBack, E::Returned) => S::RolledBack,
        (S::RollingBack, E::Stuck) => S::RollbackFailed,
        (S::RollingBack, _) | (S::Running | S::Waiting, E::TurnedBack) => S::RollingBack,
        (_, E::Proceeded) => S::Running,
        (_, E::Held) => S::Waiting,
        (S::Running | S::Waiting, E::Done) => S::Succeeded,
        (_, E::Failed) => S::Failed,
        (_, E::Cancelled) => S::Cancelled,
        (_, E::Superseded) => S::Superseded,
        (_, E::Skipped) => S::Skipped,
        (state, _) => state,
    }
}

/// The stages of a promotion, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The model is read, and its digest compared.
    #[default]
    Verify,
    /// Candidate and champion are measured on the same data.
    Evaluate,
    /// The measurements are judged.
    Gate,
    /// A person looks at the evidence.
    Approve,
    /// The candidate's server is started, and takes over the requests.
    Serve,
    /// The candidate becomes a version, and the champion.
    Register,
}

impl Stage {
    /// Its name, as shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Evaluate => "evaluate",
            Self::Gate => "gate",
            Self::Approve => "approve",
            Self::Serve => "serve",
            Self::Register => "register",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_transitions() {
        let mut table = String::new();
        for state in PromotionState::ALL {
            for event in PromotionEvent::ALL {
                let next = transition(state, event);
                let row = format!("{:15} {:10}", state.name(), format!("{event:?}"));
                let next = if next == state { "-" } else { next.name() };
                table.push_str(&format!("{row} {next}\n"));
            }
        }
        insta::assert_snapshot!(table);
    }
}
