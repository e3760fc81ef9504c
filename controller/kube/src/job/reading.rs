//! What has to be known to read a run's metrics, kept on its object, so that whoever finds the object can go on.

use std::collections::BTreeMap;

use controller_core::ports::Wanted;
use controller_core::run::{Run, RunId};
use controller_core::spec::MetricsCollectorSpec;
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
}

impl Reading {
    /// Of a new run.
    pub(super) fn of(run: &Run, is_process: bool) -> Self {
        let container = if is_process { process::CONTAINER } else { &run.primary_container };
        Self {
            collector: run.collector.clone(),
            metrics: run.metrics.clone(),
            maximize: run.maximize,
            rules: run.rules.clone(),
            container: container.to_owned(),
            pod_labels: run.primary_pod_labels.clone(),
            retain: run.retain,
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
