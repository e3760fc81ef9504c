//! What a schedule has come to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Texts by parameter name.
pub type Point = BTreeMap<String, String>;

/// Why a run is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// Its time has come.
    #[default]
    Time,
    /// The data has changed.
    Data,
    /// What the served model sees has drifted.
    Drift,
    /// A person wants it.
    Person,
}

impl Cause {
    /// In one word, as it stands on the run.
    pub fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Data => "data",
            Self::Drift => "drift",
            Self::Person => "person",
        }
    }
}

/// A run that is decided and perhaps not made yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pending {
    /// Its number, from 1.
    pub n: u64,
    /// Why.
    pub cause: Cause,
    /// The time that had come, or when whatever else caused it was seen.
    pub at: Timestamp,
    /// What is tried first: the winner of the run before.
    pub first: Option<Point>,
}

/// What whoever makes runs has written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduleState {
    /// Times up to this one are done with.
    pub since: Timestamp,
    /// Runs so far; also the number of the newest.
    pub n_runs: u64,
    /// The run that is being made.
    pub pending: Option<Pending>,
    /// How many of the runs that were asked for are done with.
    pub taken: u64,
    /// Digest of the data that the newest run has seen.
    pub data: Option<String>,
    /// The winner of the newest run that had one.
    pub winner: Option<Point>,
    /// The newest time that went by because it was past its deadline.
    pub missed: Option<Timestamp>,
}

/// A schedule as stored: what people and programs want of it, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// Whether nothing begins by itself; unset: as the spec says.
    pub suspended: Option<bool>,
    /// How many runs were asked for so far.
    pub asked: u64,
    /// Why the newest of them.
    pub cause: Cause,
    /// What came of it; `None` before anybody has looked at it.
    pub state: Option<ScheduleState>,
}

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Well.
    Succeeded,
    /// Not well.
    Failed,
}

/// A run that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// Its number.
    pub n: u64,
    /// Its name.
    pub name: String,
    /// How it has ended, if it has.
    pub end: Option<End>,
    /// Its best point so far.
    pub winner: Option<Point>,
}

/// What is looked at besides the spec and the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What people and programs want.
    pub scheduled: Scheduled,
    /// Living runs that are not being deleted.
    pub runs: Vec<RunView>,
    /// Digest of the data, if it was looked at and holds still.
    pub data: Option<String>,
}
