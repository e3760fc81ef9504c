//! What may be set, by Katib's names and with Katib's defaults.

use std::str::FromStr;

use algorithms::settings::{Reader, SettingsError};
use study::Study;

/// Settings of the controller.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnasSettings {
    /// Size of the state of the LSTM.
    pub hidden: usize,
    /// What logits are divided by, if anything.
    pub temperature: Option<f64>,
    /// Bound of logits: they become this times their tanh, if it is set.
    pub tanh_const: Option<f64>,
    /// Weight of the entropy of decisions, which is to be large.
    pub entropy_weight: Option<f64>,
    /// How much of the moving baseline an update keeps.
    pub baseline_decay: f64,
    /// Step of Adam.
    pub learning_rate: f64,
    /// Share of the skip connections that is wished for.
    pub skip_target: f64,
    /// Weight of the divergence from that share.
    pub skip_weight: Option<f64>,
    /// Updates after each trial.
    pub train_steps: usize,
}

/// A number, or `None` as Python writes it.
struct OrNone(Option<f64>);

impl FromStr for OrNone {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "None" { Ok(Self(None)) } else { text.parse().map(|x| Self(Some(x))) }
    }
}

impl EnasSettings {
    /// The settings of a study.
    ///
    /// # Errors
    /// If one is unknown or out of its range.
    pub(super) fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let whole = "a whole number of at least 1";
        let hidden = reader
            .get("controller_hidden_size", 64, "a whole number from 1 to 1024", |n| (1..=1024).contains(n))?;
        let mut or_none = |name, default: f64| {
            let allowed = "a number from 1e-12 to 1e9, or None";
            let is_right = |x: &OrNone| x.0.is_none_or(|x| (1e-12..=1e9).contains(&x));
            reader.get(name, OrNone(Some(default)), allowed, is_right).map(|x| x.0)
        };
        let temperature = or_none("controller_temperature", 5.0)?;
        let tanh_const = or_none("controller_tanh_const", 2.25)?;
        let entropy_weight = or_none("controller_entropy_weight", 1e-5)?;
        let skip_weight = or_none("controller_skip_weight", 0.8)?;
        let mut share = |name, default: f64| {
            reader.get(name, default, "a number above 0 and at most 1", |x| *x > 0.0 && *x <= 1.0)
        };
        let baseline_decay = share("controller_baseline_decay", 0.999)?;
        let learning_rate = share("controller_learning_rate", 5e-5)?;
        let skip_target = share("controller_skip_target", 0.4)?;
        let steps = "a whole number from 1 to 10000";
        let train_steps = reader.get("controller_train_steps", 50, steps, |n| (1..=10_000).contains(n))?;
        // There is nothing to be logged into: what the controller does is in the notes of its trials.
        reader.optional("controller_log_every_steps", whole, |n: &usize| *n >= 1)?;
        reader.finish()?;
        Ok(Self {
            hidden,
            temperature,
            tanh_const,
            entropy_weight,
            baseline_decay,
            learning_rate,
            skip_target,
            skip_weight,
            train_steps,
        })
    }
}
