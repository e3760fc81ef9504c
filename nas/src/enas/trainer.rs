//! What the controller learns from: evaluated architectures, their rewards, and how it came to draw them.

use algorithms::rng::Streams;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::TrialIdx;

use super::EnasSettings;
use super::adam::Adam;
use super::policy::{Layout, Policy};
use super::state::{Reader, Writer};
use super::trace::Loss;

/// Most architectures that are learnt from: the newest.
const MAX_SAMPLES: usize = 500;
/// Bounds of the weight of an architecture by how much likelier it has become.
const WEIGHTS: (f64, f64) = (0.1, 2.0);
/// Rewards count as at most so large: squares of larger ones overflow.
const MAX_REWARD: f64 = 1e100;
/// Targets of skipping stay so far from 0 and 1.
const MARGIN: f64 = 1e-6;

/// An architecture that has been evaluated.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    numbers: Vec<usize>,
    reward: f64,
    /// Logarithm of the chance that it was drawn with.
    drawn_with: f64,
}

/// A controller in training.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trainer {
    settings: EnasSettings,
    policy: Policy,
    adam: Adam,
    samples: std::collections::VecDeque<Sample>,
    baseline: Option<f64>,
}

impl Trainer {
    pub(super) fn new(
        settings: &EnasSettings,
        n_layers: usize,
        n_operations: usize,
        streams: Streams,
    ) -> Self {
        let mut rng = streams.stream("enas/weights", TrialIdx(0));
        let policy = Policy::new(settings, n_layers, n_operations, &mut rng);
        let adam = Adam::new(policy.weights.len());
        Self { settings: *settings, policy, adam, samples: std::collections::VecDeque::new(), baseline: None }
    }

    /// How many weights a controller of these sizes has.
    pub(super) fn n_weights(settings: &EnasSettings, n_operations: usize) -> usize {
        Layout::new(settings.hidden, n_operations).len()
    }

    /// All that has been learnt.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.floats(&self.policy.weights);
        self.adam.write(writer);
        writer.floats(self.baseline.as_slice());
        writer.number(self.samples.len() as u64);
        for sample in &self.samples {
            writer.numbers(&sample.numbers);
            writer.float(sample.reward);
            writer.float(sample.drawn_with);
        }
    }

    /// This trainer with what was written of one of the same settings and sizes.
    pub(super) fn read(&self, reader: &mut Reader<'_>) -> Option<Self> {
        let mut trainer = self.clone();
        let n = self.policy.weights.len();
        trainer.policy.weights = reader.floats().filter(|weights| weights.len() == n)?;
        trainer.adam = Adam::read(reader, n)?;
        trainer.baseline = reader.floats()?.first().copied();
        trainer.samples = (0..reader.count()?).map(|_| self.read_sample(reader)).collect::<Option<_>>()?;
        Some(trainer)
    }

    fn read_sample(&self, reader: &mut Reader<'_>) -> Option<Sample> {
        let numbers = reader.numbers().filter(|numbers| self.policy.fits(numbers))?;
        Some(Sample { numbers, reward: reader.float()?, drawn_with: reader.float()? })
    }

    /// The controller as it is.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes in an architecture with its reward, and makes the updates that follow: the first over this one, the others over
    /// any that are stored. `drawn_with` is the logarithm of its chance when it was drawn; unknown, it is that of now.
    pub(super) fn learn(
        &mut self,
        numbers: Vec<usize>,
        reward: f64,
        drawn_with: Option<f64>,
        rng: &mut ChaCha8Rng,
    ) {
        let reward = reward.clamp(-MAX_REWARD, MAX_REWARD);
        let drawn_with = drawn_with.unwrap_or_else(|| self.policy.log_probability(&numbers));
        self.samples.push_back(Sample { numbers, reward, drawn_with });
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.baseline.get_or_insert(reward);
        let deviation = self.deviation();
        for step in 0..self.settings.train_steps {
            let newest = self.samples.len() - 1;
            let i = if step == 0 { newest } else { rng.random_range(0..=newest) };
            self.update(i, deviation);
        }
    }

    /// Standard deviation of the rewards; 1 where all are alike.
    fn deviation(&self) -> f64 {
        let n = self.samples.len() as f64;
        let mean = self.samples.iter().map(|sample| sample.reward).sum::<f64>() / n;
        let squares = self.samples.iter().map(|sample| (sample.reward - mean) * (sample.reward - mean));
        let deviation = (squares.sum::<f64>() / n).sqrt();
        if deviation > f64::EPSILON * mean.abs() { deviation } else { 1.0 }
    }

    /// One step of REINFORCE (Williams 1992, Mach. Learn. 8:229) over a stored architecture.
    fn update(&mut self, i: usize, deviation: f64) {
        let sample = &self.samples[i];
        let trace = self.policy.read(&sample.numbers);
        let weight = (trace.log_probability() - sample.drawn_with).exp().clamp(WEIGHTS.0, WEIGHTS.1);
        let baseline = self.baseline.unwrap_or(sample.reward);
        let loss = Loss {
            advantage: weight * (sample.reward - baseline) / deviation,
            entropy_weight: self.settings.entropy_weight.unwrap_or(0.0),
            skip_weight: self.settings.skip_weight.unwrap_or(0.0),
            skip_target: self.settings.skip_target.clamp(MARGIN, 1.0 - MARGIN),
        };
        let decay = self.settings.baseline_decay;
        self.baseline = Some(decay * baseline + (1.0 - decay) * sample.reward);
        let gradient = trace.gradient(&self.policy, &loss);
        self.adam.step(&mut self.policy.weights, &gradient, self.settings.learning_rate);
    }
}
