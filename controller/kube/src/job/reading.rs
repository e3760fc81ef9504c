//! What has to be known to read a run's metrics, kept on its object, so that whoever finds the object can go on.

use std::collections::BTreeMap;

use controller_core::ports::Wanted;
use controller_core::run::{Run, RunId, Sealed};
use controller_core::spec::{ArtifactsSpec, MetricsCollectorSpec};
use kube::core::DynamicObject;
use serde::{Deserialize, Serialize};
use study::{Direction, Rule};

use super::process;
use crate::names;

/// How the pods of a run are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// How metrics are collected.
    pub collector: MetricsCollectorSpec,
    /// Metrics wanted, the objective first.
    pub metrics: Vec<String>,
    /// Whether the objective is to be maximised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maximize: bool,
    /// Rules that stop it on the spot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The container that is read.
    pub container: String,
    /// Labels of the pods that are read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_labels: BTreeMap<String, String>,
    /// Whether the object stays after the run's end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
    /// Whether its pods get what they need from the webhook when they are made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_webhook: bool,
    /// Where what it leaves is kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub artifacts: ArtifactsSpec,
    /// What its checkpoints are for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checkpoints: Checkpoints,
}

/// What a run begins with, and what it leaves to others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Checkpoints {
    /// Whether its checkpoint is kept after a good end too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// A further path by which its program knows their folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The one that it starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Sealed>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Reading {
    /// Of a new run.
    pub(super) fn of(run: &Run, is_process: bool, by_webhook: bool) -> Self {
        let container = if is_process { process::CONTAINER } else { &run.primary_container };
        Self {
            collector: run.collector.clone(),
            metrics: run.metrics.clone(),
            maximize: run.maximize,
            rules: run.rules.clone(),
            container: container.to_owned(),
            pod_labels: run.primary_pod_labels.clone(),
            retain: run.retain,
            by_webhook,
            artifacts: run.artifacts.clone(),
            checkpoints: Checkpoints {
                keep: run.keep_checkpoint,
                path: run.checkpoint_path.clone(),
                start: run.start.clone(),
            },
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As it stands on an object; `None` if somebody has taken it away.
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let text = object.metadata.annotations.as_ref()?.get(names::READING_ANNOTATION)?;
        serde_json::from_str(text).ok()
    }

    /// Whether metrics come from what the pods print.
    pub fn is_of_output(&self) -> bool {
        self.collector.kind() == "StdOut"
    }

    /// What is to be collected of a run.
    pub fn wanted(&self, run: RunId) -> Wanted {
        Wanted {
            run,
            collector: self.collector.clone(),
            metrics: self.metrics.clone(),
            direction: if self.maximize { Direction::Maximize } else { Direction::Minimize },
            rules: self.rules.clone(),
        }
    }
}
