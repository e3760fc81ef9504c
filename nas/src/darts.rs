//! DARTS: the trial searches by itself, in one supernet (Liu et al. 2019, arXiv:1806.09055). What is suggested is the same for
//! every trial: the settings, the operations of the supernet and its number of layers.
//!
//! Katib's service of that name answers its first question and breaks off at the second; this one answers all.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::{Reader, SettingsError};
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx, Value};

/// Numbers of epochs, batches and the like that a training can have.
const COUNTS: RangeInclusive<u64> = 1..=1_000_000;

/// Suggests the one point there is.
pub struct Darts {
    point: Assignment,
}

/// A whole number, or `None` as Python writes it.
struct OrNone(Option<u64>);

impl FromStr for OrNone {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "None" { Ok(Self(None)) } else { text.parse().map(|n| Self(Some(n))) }
    }
}

impl Darts {
    /// The one point of a study whose space is that of a one-shot search.
    ///
    /// # Errors
    /// If a setting is unknown or out of range, or the space is another.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        for name in [
            "w_lr",
            "w_lr_min",
            "w_momentum",
            "w_weight_decay",
            "w_grad_clip",
            "alpha_lr",
            "alpha_weight_decay",
        ] {
            reader.optional(name, "a number from 0 to 1000000", |x: &f64| (0.0..=1e6).contains(x))?;
        }
        let whole = "a whole number from 1 to 1000000";
        reader.optional("batch_size", "a whole number from 1 to 1000000, or None", |n: &OrNone| {
            n.0.is_none_or(|n| COUNTS.contains(&n))
        })?;
        reader.optional("num_workers", "a whole number from 0 to 1024", |n: &u64| *n <= 1024)?;
        for name in ["num_epochs", "print_step"] {
            reader.optional(name, whole, |n: &u64| COUNTS.contains(n))?;
        }
        for name in ["init_channels", "num_nodes", "stem_multiplier"] {
            reader.optional(name, "a whole number from 1 to 1024", |n: &u64| (1..=1024).contains(n))?;
        }
        reader.finish_seedless()?;
        let parameters = study.space.parameters();
        if !study::ONE_SHOT_TEXTS.iter().eq(parameters.iter().map(|parameter| &parameter.name)) {
            return Err(SettingsError::Unsuited {
                algorithm: study.algorithm.name.clone(),
                problem: "it searches architectures; give spec.nasConfig instead of spec.parameters".into(),
            });
        }
        Ok(Self { point: Assignment(vec![Some(Value::Choice(0)); parameters.len()]) })
    }
}

impl Sampler for Darts {
    fn tell(&mut self, _: &[HistoryEvent]) {}

    fn ask(&self, slots: Range<TrialIdx>, _: &[Trial], _: &Streams) -> Vec<Suggestion> {
        let notes = [("by", "darts"), ("why", "the trial searches by itself")];
        let notes = notes.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let suggestion =
            Suggestion { assignment: self.point.clone(), notes: notes.into(), ..Suggestion::default() };
        vec![suggestion; slots.end.0.saturating_sub(slots.start.0) as usize]
    }
}

#[cfg(test)]
mod tests {
    use algorithms::settings::algorithm;
    use study::{Direction, Domain, NetworkSpec, Objective, OperationSpec, Space};

    use super::*;

    fn study(settings: &[(&str, &str)]) -> Study {
        let sizes = Domain::Categorical { choices: vec!["3".into(), "5".into()], ordered: false };
        let operations = vec![
            OperationSpec {
                kind: "separable_convolution".into(),
                parameters: vec![("filter_size".into(), sizes)],
            },
            OperationSpec { kind: study::SKIP_CONNECTION.into(), parameters: vec![] },
        ];
        let network = NetworkSpec { n_layers: 8, operations, ..NetworkSpec::default() };
        let written: Vec<_> = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Study {
            name: "s".into(),
            space: Space::one_shot(&network, &written).unwrap(),
            objectives: vec![Objective {
                metric: "Best-Genotype".into(),
                direction: Direction::Maximize,
                goal: None,
            }],
            algorithm: algorithm("darts", settings),
            early_stopping: None,
            seed: 1,
            max_trials: Some(1),
            parallel: 1,
            expense: None,
        }
    }

    #[test]
    fn every_question_gets_the_one_answer() {
        let study = study(&[("num_epochs", "3"), ("batch_size", "None")]);
        let darts = Darts::new(&study).unwrap();
        let first = darts.ask(TrialIdx(0)..TrialIdx(2), &[], &Streams::new(1));
        assert_eq!(first.len(), 2);
        assert_eq!(first[0], first[1]);
        assert_eq!(darts.ask(TrialIdx(2)..TrialIdx(3), &[], &Streams::new(1))[0], first[0]);
        assert!(study.space.contains(&first[0].assignment));
        let texts = study.space.texts(&first[0].assignment);
        assert!(texts[0].1.contains("'num_epochs': '3'") && texts[0].1.contains("'batch_size': null"));
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (name, value) in [
            ("num_epochs", "0"),
            ("w_lr", "-0.1"),
            ("w_lr", "None"),
            ("batch_size", "0"),
            ("num_workers", "-1"),
            ("num_nodes", "0"),
            ("stem_multiplier", "2.5"),
            ("num_epoch", "1"),
            ("num_epochs", "1000000000000"),
            ("num_nodes", "1000000000"),
            ("init_channels", "1000000000"),
            ("num_workers", "100000"),
            ("batch_size", "99999999"),
            ("w_lr", "inf"),
            ("alpha_lr", "NaN"),
            ("w_grad_clip", "1e300"),
        ] {
            let refused = Darts::new(&study(&[(name, value)])).err().unwrap().to_string();
            assert!(refused.contains(&format!("`{name}`")), "{refused}");
        }
    }
}
