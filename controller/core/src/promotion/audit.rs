//! The log of everything that was done to models: append-only, each entry bound to the one before by its hash.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::time::Timestamp;

/// Something that was done, before it has its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// By whom; `cairn` where no person did it.
    pub actor: String,
    /// Namespace of the model.
    pub namespace: String,
    /// The model.
    pub model: String,
    /// Number of the promotion.
    pub promotion: u64,
    /// What was done, one word such as `approved`.
    pub deed: String,
    /// The same in a sentence, with what it was done on.
    pub detail: String,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// Hash of the entry before; empty for the first.
    pub previous: String,
    /// SHA-256 over number, deed and the hash before, in hex.
    pub hash: String,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Tampered {
    /// A number is missing or doubled.
    #[error("entry {found} stands where entry {wanted} has to: entries were removed or added")]
    Gap {
        /// The number that has to stand there.
        wanted: u64,
        /// The number that does.
        found: u64,
    },
    /// An entry was changed, or the one before it.
    #[error("entry {seq} does not fit its hash or the entry before it: one of them was changed")]
    Broken {
        /// Which.
        seq: u64,
    },
}

impl AuditEntry {
    /// The entry of a deed behind another, or the first.
    pub fn after(before: Option<&Self>, deed: Deed) -> Self {
        let seq = before.map_or(1, |entry| entry.seq + 1);
        let previous = before.map(|entry| entry.hash.clone()).unwrap_or_default();
        let hash = hash(seq, &deed, &previous);
        Self { seq, deed, previous, hash }
    }
}

fn hash(seq: u64, deed: &Deed, previous: &str) -> String {
    // Every part is told apart from the next by its length.
    let mut hasher = Sha256::new();
    let number = [seq.to_string(), deed.at.0.to_string(), deed.promotion.to_string()];
    let texts = [&deed.actor, &deed.namespace, &deed.model, &deed.deed, &deed.detail];
    for part in number.iter().chain(texts).map(String::as_str).chain([previous]) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a whole log, oldest first.
///
/// # Errors
/// The first place where it was changed.
pub fn verify(entries: &[AuditEntry]) -> Result<(), Tampered> {
    let mut before: Option<&AuditEntry> = None;
    for entry in entries {
        let wanted = AuditEntry::after(before, entry.deed.clone());
        if entry.seq != wanted.seq {
            return Err(Tampered::Gap { wanted: wanted.seq, found: entry.seq });
        }
        if *entry != wanted {
            return Err(Tampered::Broken { seq: entry.seq });
        }
        before = Some(entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<AuditEntry> {
        let mut log: Vec<AuditEntry> = Vec::new();
        for number in 0..4 {
            let deed = Deed {
                at: Timestamp(number),
                actor: "ada".into(),
                namespace: "default".into(),
                model: "digits".into(),
                promotion: 1,
                deed: "approved".into(),
                detail: format!("number {number}"),
            };
            log.push(AuditEntry::after(log.last(), deed));
        }
        log
    }

    #[test]
    fn a_log_as_it_was_written_is_whole() {
        assert_eq!(verify(&log()), Ok(()));
        assert_eq!(verify(&[]), Ok(()));
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let mut changed = log();
        changed[1].deed.actor = "bob".into();
        assert_eq!(verify(&changed), Err(Tampered::Broken { seq: 2 }));
        // With a new hash of its own it does not fit the next.
        changed[1] = AuditEntry::after(Some(&changed[0]), changed[1].deed.clone());
        assert_eq!(verify(&changed), Err(Tampered::Broken { seq: 3 }));
        let mut removed = log();
        removed.remove(2);
        assert_eq!(verify(&removed), Err(Tampered::Gap { wanted: 3, found: 4 }));
        let mut moved = log();
        moved[3].deed.detail = moved[3].deed.detail.replace("number ", "");
        moved[3].deed.deed = "approvednumber ".into();
        assert_eq!(verify(&moved), Err(Tampered::Broken { seq: 4 }));
    }
}
