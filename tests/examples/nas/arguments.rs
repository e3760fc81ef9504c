//! What the program is asked to do, from its command line and Katib's assignments.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

use crate::chain::json;
use crate::genotype::Sizes;
use crate::search::Settings;
use crate::supernet::Variant;

/// Options as they were given.
pub(crate) struct Arguments(BTreeMap<String, String>);

/// Options that there are.
const KNOWN: [&str; 23] = [
    "architecture",
    "nn_config",
    "algorithm-settings",
    "search-space",
    "num-layers",
    "genotype",
    "cell",
    "cells",
    "number",
    "supernet",
    "model",
    "num_epochs",
    "batch",
    "rate",
    "decay",
    "seed",
    "order",
    "variant",
    "select",
    "stop",
    "retrain-epochs",
    "init-channels",
    "stem-multiplier",
];

impl Arguments {
    /// `--NAME=VALUE` or `--NAME VALUE`. Quotes that were meant for a shell which was not there are taken off.
    pub(crate) fn read(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut read, mut given) = (BTreeMap::new(), given);
        while let Some(argument) = given.next() {
            let option =
                argument.strip_prefix("--").ok_or_else(|| format!("`{argument}` is not --NAME=VALUE"))?;
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (option.to_owned(), given.next().ok_or_else(|| format!("--{option} has no value"))?),
            };
            if !KNOWN.contains(&name.as_str()) {
                return Err(format!("there is no option --{name}; there are --{}", KNOWN.join(", --")));
            }
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            read.insert(name, value.to_owned());
        }
        Ok(Self(read))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn wanted(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("--{name} is missing"))
    }

    /// A number from `least` to `most`.
    pub(crate) fn number<T: FromStr + PartialOrd + Display + Copy>(
        &self,
        name: &str,
        default: T,
        least: T,
        most: T,
    ) -> Result<T, String> {
        let Some(text) = self.get(name) else { return Ok(default) };
        within(text, least, most)
            .ok_or_else(|| format!("--{name} is `{text}`, not a number from {least} to {most}"))
    }

    /// One of a few words.
    fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<T, String> {
        let Some(text) = self.get(name) else { return Ok(words[0].1) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("--{name} is `{text}`; there are {}", all.join(", "))
        })
    }

    /// How a supernet is searched; `learning` holds Katib's settings, as far as they are given.
    pub(crate) fn search(&self, learning: &Value) -> Result<Settings, String> {
        let variant = [("darts", Variant::Darts), ("fair", Variant::Fair), ("sampled", Variant::Sampled)];
        let variant = self.word("variant", &variant)?;
        let second_order = self.word("order", &[("second", true), ("first", false)])?;
        let at_least_0 = |name: &str, default: f32| setting(learning, name, default, 0.0, 1e6);
        Ok(Settings {
            num_epochs: setting(learning, "num_epochs", 50, 1, 100_000)?,
            w_lr: at_least_0("w_lr", 0.025)?,
            w_lr_min: at_least_0("w_lr_min", 0.001)?,
            w_momentum: at_least_0("w_momentum", 0.9)?,
            w_weight_decay: at_least_0("w_weight_decay", 3e-4)?,
            w_grad_clip: at_least_0("w_grad_clip", 5.0)?,
            alpha_lr: at_least_0("alpha_lr", 3e-4)?,
            alpha_weight_decay: at_least_0("alpha_weight_decay", 1e-3)?,
            batch_size: setting(learning, "batch_size", 128, 1, 100_000)?,
            // An operation that was not drawn has no slope to look ahead by.
            second_order: second_order && variant != Variant::Sampled,
            variant,
            perturbation: self.word("select", &[("largest", false), ("perturbation", true)])?,
            stop: self.word("stop", &[("never", false), ("eigenvalue", true)])?,
            seed: self.number("seed", 2, 0, u64::MAX)?,
        })
    }

    /// Katib's settings.
    pub(crate) fn learning(&self) -> Result<Value, String> {
        let learning = json("--algorithm-settings", self.wanted("algorithm-settings")?)?;
        if learning.is_object() { Ok(learning) } else { Err("--algorithm-settings is no JSON object".into()) }
    }

    /// Sizes of a network of DARTS' cells.
    pub(crate) fn sizes(&self, learning: &Value) -> Result<Sizes, String> {
        self.wanted("num-layers")?;
        Ok(Sizes {
            layers: self.number("num-layers", 1, 1, 100)?,
            nodes: setting(learning, "num_nodes", 4, 1, 16)?,
            channels: setting(learning, "init_channels", 16, 1, 1024)?,
            stem: setting(learning, "stem_multiplier", 3, 1, 16)?,
        })
    }

    /// Operations of a supernet.
    pub(crate) fn operations(&self) -> Result<Vec<String>, String> {
        let list = json("--search-space", self.wanted("search-space")?)?;
        serde_json::from_value(list).map_err(|_| "--search-space is no list of names".into())
    }
}

/// A setting of Katib's: its own defaults are numbers, what a user gives is a text.
fn setting<T: FromStr + PartialOrd + Display + Copy>(
    learning: &Value,
    name: &str,
    default: T,
    least: T,
    most: T,
) -> Result<T, String> {
    let text = match &learning[name] {
        Value::Null => return Ok(default),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    within(&text, least, most).ok_or_else(|| {
        format!("--algorithm-settings: {name} is `{text}`, not a number from {least} to {most}")
    })
}

fn within<T: FromStr + PartialOrd + Copy>(text: &str, least: T, most: T) -> Option<T> {
    text.parse().ok().filter(|x| *x >= least && *x <= most)
}
