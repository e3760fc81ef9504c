//! What people wish of a promotion, and whether they may.

use serde::{Deserialize, Serialize};

use super::record::Promotion;
use super::state::Stage;
use crate::time::Timestamp;

/// A wish of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum PromotionWish {
    /// Let it go on.
    Approve {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Digest of the model that was looked at.
        digest: String,
    },
    /// End it.
    Cancel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Give its candidate all requests now.
    Finish {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// A wish with its place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPromotionWish {
    /// Its number within the promotion.
    pub wish_no: i64,
    /// When it was made.
    pub at: Timestamp,
    /// What is wished.
    pub wish: PromotionWish,
}

/// Why a person may not approve a promotion now, if so.
pub fn approval_problem(promotion: &Promotion, by: &str, digest: &str) -> Option<String> {
    let name = promotion.name();
    let candidate = &promotion.candidate.artifact.digest;
    if promotion.state.is_final() {
        return Some(format!("promotion {name} is {} and needs no approval", promotion.state.name()));
    }
    let Some(wanted) = &promotion.spec.approval else {
        return Some(format!("promotion {name} needs no approval"));
    };
    if promotion.stage != Stage::Approve {
        return Some(format!(
            "promotion {name} is not as far yet; it has to {} first",
            promotion.stage.name()
        ));
    }
    if digest != candidate {
        return Some(format!(
            "the approval is for digest {digest}, the model has {candidate}; look at the evidence again"
        ));
    }
    if wanted.by.is_empty() && by == promotion.author {
        return Some(format!(
            "{by} wanted promotion {name} and cannot approve it; someone else has to, or name {by} in `approval.by`"
        ));
    }
    if !wanted.by.is_empty() && !wanted.by.iter().any(|name| name == by) {
        return Some(format!(
            "{by} may not approve promotion {name}; it wants one of {}",
            wanted.by.join(", ")
        ));
    }
    None
}
