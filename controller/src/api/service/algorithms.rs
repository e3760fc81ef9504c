//! Which algorithms there are.

use serde_json::{Map, Value};
use suggest::registry;

use super::error::ApiError;
use crate::api::types::{AlgorithmView, Algorithms, SettingView};

/// All algorithms, in the order of the registry.
pub(crate) fn algorithms() -> Algorithms {
    Algorithms { items: registry::list().iter().map(view).collect() }
}

/// One algorithm.
pub(crate) fn algorithm(name: &str) -> Result<AlgorithmView, ApiError> {
    let all = registry::list();
    all.iter().find(|info| info.name == name).map(view).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|info| info.name).collect();
        ApiError::not_found(format!("algorithm `{name}` not found; there are {}", names.join(", ")))
    })
}

fn view(info: &registry::Info) -> AlgorithmView {
    let features: Map<String, Value> = info
        .features
        .iter()
        .map(|(feature, can)| (feature.to_string(), Value::from(can.to_string())))
        .collect();
    let settings = info.settings.iter().map(|(name, default, meaning)| SettingView {
        name: (*name).into(),
        default: (*default).into(),
        meaning: (*meaning).into(),
    });
    AlgorithmView {
        name: info.name.into(),
        summary: info.summary.into(),
        early_stopping: info.early_stopping,
        source: info.source.into(),
        features,
        settings: settings.collect(),
    }
}
