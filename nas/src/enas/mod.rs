//! ENAS: an LSTM that writes architectures down, layer by layer, and learns from what became of them.
//!
//! Pham et al. 2018, arXiv:1802.03268, the macro search space, with the settings of Katib's service of that name. That
//! service rewards each sample with the mean objective of *all* trials so far, so that nothing tells a good architecture
//! from a bad one. Here **each architecture's own objective is its reward**: `controller_train_steps` updates follow the end
//! of each trial, each over one stored architecture, weighted by how much likelier it is now than when it was drawn
//! (importance sampling, the weight clipped). What else differs: entropy is part of what is maximised, not of the reward;
//! the skip penalty is the exact divergence from the target; rewards are taken against the moving baseline in units of
//! their deviation, so that weights mean the same whatever the objective's unit is.

mod adam;
mod matrix;
mod policy;
mod settings;
mod state;
mod trace;
mod trainer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use algorithms::Sampler;
use algorithms::rng::Streams;
use algorithms::settings::SettingsError;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx, Value};

pub use settings::EnasSettings;

use crate::chain::Chains;
use crate::moves;
use crate::search::record::{Evaluated, Record};
use state::{Reader, Writer};
use trainer::Trainer;

/// Draws before one that has been tried is changed in one place.
const DRAWS: usize = 20;
/// Changes before an architecture is drawn by chance.
const CHANGES: usize = 100;
/// Most weights of a controller; with what training keeps of each they take a quarter of a GiB.
const MAX_WEIGHTS: usize = 11_000_000;
/// Where a trial keeps the logarithm of the chance that it was drawn with.
const NOTE: &str = "log_probability";

/// Draws architectures from a controller that learns.
pub struct Enas {
    record: Record,
    trainer: Trainer,
    streams: Streams,
    /// What the trials that run were drawn with, as far as they say.
    drawn_with: BTreeMap<TrialIdx, f64>,
}

impl Enas {
    /// A controller for the networks of a study.
    ///
    /// # Errors
    /// If a setting is unknown or out of range, the study's points are no architectures, or the controller would be too large.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let settings = EnasSettings::read(study)?;
        let Some(network) = study.space.network() else {
            return Err(SettingsError::Unsuited {
                algorithm: study.algorithm.name.clone(),
                problem: "it searches architectures; give spec.nasConfig instead of spec.parameters".into(),
            });
        };
        let n_weights = Trainer::n_weights(&settings, network.operations().len());
        if n_weights > MAX_WEIGHTS {
            return Err(SettingsError::Unsuited {
                algorithm: study.algorithm.name.clone(),
                problem: format!(
                    "its controller would have {n_weights} weights, and at most {MAX_WEIGHTS} are trained; lower \
                     controller_hidden_size ({}), or list fewer operations ({} with their parameters multiplied out)",
                    settings.hidden,
                    network.operations().len()
                ),
            });
        }
        let streams = Streams::new(study.seed);
        let trainer = Trainer::new(&settings, network.n_layers(), network.operations().len(), streams);
        let Some(chains) = Chains::new(&study.space) else { unreachable!("the space has a network") };
        let record = Record::new(Arc::new(chains));
        Ok(Self { record, trainer, streams, drawn_with: BTreeMap::new() })
    }
}

/// What travels between services.
impl Enas {
    fn write(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.trainer.write(&mut writer);
        writer.number(self.record.ended.len() as u64);
        for Evaluated { point, cost } in &self.record.ended {
            writer.numbers(&numbers(point).unwrap_or_default());
            writer.floats(cost.as_slice());
        }
        writer.number(self.record.open().len() as u64);
        for (idx, point) in self.record.open() {
            writer.number(idx.0);
            writer.numbers(&numbers(point).unwrap_or_default());
            writer.floats(self.drawn_with.get(idx).copied().as_slice());
        }
        writer.bytes()
    }

    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader(bytes);
        let trainer = self.trainer.read(&mut reader)?;
        let architecture = |reader: &mut Reader<'_>| {
            let numbers = reader.numbers().filter(|numbers| trainer.policy().fits(numbers))?;
            Some(point(&numbers))
        };
        let mut ended = Vec::new();
        for _ in 0..reader.count()? {
            let point = architecture(&mut reader)?;
            ended.push(Evaluated { point, cost: reader.floats()?.first().copied() });
        }
        let (mut open, mut drawn_with) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..reader.count()? {
            let idx = TrialIdx(reader.number()?);
            open.insert(idx, architecture(&mut reader)?);
            drawn_with.extend(reader.floats()?.first().map(|log| (idx, *log)));
        }
        self.record.resume(ended, open);
        (self.trainer, self.drawn_with) = (trainer, drawn_with);
        Some(())
    }
}

impl Sampler for Enas {
    fn state(&self) -> Option<Vec<u8>> {
        Some(self.write())
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        self.read(state).is_some()
    }

    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            if let HistoryEvent::Started(trial) = event {
                let noted = trial.suggestion.notes.get(NOTE).and_then(|text| text.parse().ok());
                if let Some(log) = noted.filter(|log: &f64| log.is_finite()) {
                    self.drawn_with.insert(trial.idx, log);
                }
            }
            let Some(ended) = self.record.take(event) else { continue };
            let HistoryEvent::Ended { trial, .. } = event else { continue };
            let drawn_with = self.drawn_with.remove(trial);
            if let (Some(cost), Some(numbers)) = (ended.cost, numbers(&ended.point)) {
                let mut rng = self.streams.stream("enas/train", *trial);
                self.trainer.learn(numbers, -cost, drawn_with, &mut rng);
            }
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let space = self.record.architectures.space();
        let policy = self.trainer.policy();
        let mut suggestions = self.record.one_by_one(slots, running, "enas", |slot, begun| {
            let mut rng = streams.stream("enas", slot);
            let mut last = None;
            for _ in 0..DRAWS {
                let drawn = point(&policy.draw(&mut rng));
                if begun.is_new(&drawn) {
                    return Some((drawn, "drawn by the controller"));
                }
                last = Some(drawn);
            }
            let changed = last.and_then(|last| {
                let mut changes = (0..CHANGES).map(|_| moves::mutated(space, &last, 1, &mut rng));
                changes.find(|point| begun.is_new(point))
            });
            match changed {
                Some(point) => {
                    Some((point, "drawn by the controller, changed in one place as it had been tried"))
                }
                None => {
                    Some((begun.random(&mut rng)?, "by chance, as what the controller draws has been tried"))
                }
            }
        });
        for suggestion in &mut suggestions {
            if let Some(numbers) = numbers(&suggestion.assignment) {
                let log = policy.log_probability(&numbers);
                suggestion.notes.insert(NOTE.into(), log.to_string());
            }
        }
        suggestions
    }
}

/// The numbers of a point, layer by layer: operation, then skips.
fn numbers(point: &Assignment) -> Option<Vec<usize>> {
    let number = |value: &Option<Value>| match value {
        Some(Value::Choice(i)) => Some(*i),
        _ => None,
    };
    point.0.iter().map(number).collect()
}

fn point(numbers: &[usize]) -> Assignment {
    Assignment(numbers.iter().map(|i| Some(Value::Choice(*i))).collect())
}

#[cfg(test)]
mod tests;
