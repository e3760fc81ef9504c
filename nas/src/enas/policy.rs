//! The controller: an LSTM whose weights all decisions share, and how likely it makes an architecture.
//!
//! A layer takes one step to say what it is, and every layer but the first a second one to say from which layers it reads:
//! the state of each earlier layer is compared to the present one (attention), and each connection is decided by itself.

use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::EnasSettings;
use super::matrix::{add, dot, times};
use super::trace::{Attended, Choice, Step, Trace};

/// Bound of the first weights.
const START: f64 = 0.01;

/// Where each matrix lies among the weights. `h` is the size of the state, `k` the number of operations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// (4 h, 2 h): gates in, forget, out and new from input and state.
    pub(super) lstm: Range<usize>,
    /// (h): the first input.
    pub(super) begin: Range<usize>,
    /// (k, h): the input that says which operation was chosen.
    pub(super) embedding: Range<usize>,
    /// (k, h): logits of operations.
    pub(super) softmax: Range<usize>,
    /// (h, h): of earlier states.
    pub(super) attention_1: Range<usize>,
    /// (h, h): of the present state.
    pub(super) attention_2: Range<usize>,
    /// (h): onto a number.
    pub(super) attention_v: Range<usize>,
}

impl Layout {
    /// Of a state of size `h` and `k` operations.
    pub(super) fn new(h: usize, k: usize) -> Self {
        let mut end = 0;
        let mut next = |n: usize| {
            end += n;
            end - n..end
        };
        Self {
            lstm: next(8 * h * h),
            begin: next(h),
            embedding: next(k * h),
            softmax: next(k * h),
            attention_1: next(h * h),
            attention_2: next(h * h),
            attention_v: next(h),
        }
    }

    /// Number of all weights.
    pub(super) fn len(&self) -> usize {
        self.attention_v.end
    }
}

/// The controller's weights and what it writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    pub(super) hidden: usize,
    pub(super) n_layers: usize,
    pub(super) n_operations: usize,
    pub(super) layout: Layout,
    pub(super) weights: Vec<f64>,
    temperature: f64,
    tanh_const: Option<f64>,
}

impl Policy {
    /// A controller that has learnt nothing: weights uniform within 0.01 of 0.
    pub(super) fn new(
        settings: &EnasSettings,
        n_layers: usize,
        n_operations: usize,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let layout = Layout::new(settings.hidden, n_operations);
        let weights = (0..layout.len()).map(|_| rng.random_range(-START..START)).collect();
        Self {
            hidden: settings.hidden,
            n_layers,
            n_operations,
            layout,
            weights,
            temperature: settings.temperature.unwrap_or(1.0),
            tanh_const: settings.tanh_const,
        }
    }

    /// Whether numbers are an architecture that this controller could have written.
    pub(super) fn fits(&self, numbers: &[usize]) -> bool {
        let sizes = (0..self.n_layers)
            .flat_map(|layer| std::iter::once(self.n_operations).chain(std::iter::repeat_n(2, layer)));
        numbers.len() == self.n_layers * (self.n_layers + 1) / 2
            && numbers.iter().zip(sizes).all(|(n, size)| *n < size)
    }

    /// The weights of a part.
    pub(super) fn part(&self, part: &Range<usize>) -> &[f64] {
        &self.weights[part.clone()]
    }

    /// One row of a part.
    fn row(&self, part: &Range<usize>, i: usize) -> &[f64] {
        &self.part(part)[i * self.hidden..][..self.hidden]
    }

    /// A logit from a raw number, and its slope.
    pub(super) fn logit(&self, raw: f64) -> (f64, f64) {
        let x = raw / self.temperature;
        match self.tanh_const {
            None => (x, 1.0 / self.temperature),
            Some(bound) => (bound * x.tanh(), bound * (1.0 - x.tanh() * x.tanh()) / self.temperature),
        }
    }

    /// An architecture drawn: for each layer its operation and its skips.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let trace = self.run(|choice| choice.pick(rng.random()));
        trace.numbers()
    }

    /// The logarithm of the chance that an architecture is drawn.
    pub(super) fn log_probability(&self, numbers: &[usize]) -> f64 {
        self.read(numbers).log_probability()
    }

    /// How the controller would write an architecture, with all that the gradient needs.
    pub(super) fn read(&self, numbers: &[usize]) -> Trace {
        let mut numbers = numbers.iter().copied();
        self.run(|_| numbers.next().unwrap_or(0))
    }

    /// Writes an architecture, with `choose` for every decision.
    fn run(&self, mut choose: impl FnMut(&Choice) -> usize) -> Trace {
        let h = self.hidden;
        let mut trace = Trace { layers: Vec::with_capacity(self.n_layers) };
        let (mut state, mut cell) = (vec![0.0; h], vec![0.0; h]);
        let mut input = self.part(&self.layout.begin).to_vec();
        // State of each layer, and the same under the attention's first matrix.
        let mut anchors: Vec<(Vec<f64>, Vec<f64>)> = Vec::with_capacity(self.n_layers);
        for layer in 0..self.n_layers {
            let step = self.step(&input, &state, &cell);
            (state, cell) = (step.state.clone(), step.cell.clone());
            let mut operation = self.operation(&state);
            operation.chosen = choose(&operation);
            let chosen = operation.chosen;
            let mut skips = None;
            if layer > 0 {
                let step = self.step(self.row(&self.layout.embedding, chosen), &state, &cell);
                (state, cell) = (step.state.clone(), step.cell.clone());
                let mut attended = self.attend(&state, &anchors);
                for skip in &mut attended {
                    skip.choice.chosen = choose(&skip.choice);
                }
                let read: Vec<usize> = (0..layer).filter(|from| attended[*from].choice.chosen == 1).collect();
                input = vec![0.0; h];
                for from in &read {
                    add(&mut input, 1.0 / (1.0 + read.len() as f64), &anchors[*from].0);
                }
                skips = Some((step, attended));
            }
            let attended_as = times(self.part(&self.layout.attention_1), &state);
            anchors.push((state.clone(), attended_as));
            trace.layers.push((step, operation, skips));
        }
        trace
    }

    /// One step of the LSTM.
    fn step(&self, input: &[f64], state: &[f64], cell: &[f64]) -> Step {
        let h = self.hidden;
        let input: Vec<f64> = input.iter().chain(state).copied().collect();
        let mut gates = times(self.part(&self.layout.lstm), &input);
        gates[..3 * h].iter_mut().for_each(|gate| *gate = sigmoid(*gate));
        gates[3 * h..].iter_mut().for_each(|gate| *gate = gate.tanh());
        let before = cell.to_vec();
        let cell: Vec<f64> = (0..h).map(|i| gates[i] * gates[3 * h + i] + gates[h + i] * before[i]).collect();
        let squashed: Vec<f64> = cell.iter().map(|cell| cell.tanh()).collect();
        let state = (0..h).map(|i| gates[2 * h + i] * squashed[i]).collect();
        Step { input, gates, before, cell, squashed, state }
    }

    /// The decision which operation a layer is.
    fn operation(&self, state: &[f64]) -> Choice {
        let raw = times(self.part(&self.layout.softmax), state);
        let (logits, slopes): (Vec<f64>, Vec<f64>) = raw.into_iter().map(|raw| self.logit(raw)).unzip();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let probabilities = weights.iter().map(|weight| weight / sum).collect();
        Choice { probabilities, slopes, chosen: 0 }
    }

    /// The decisions from which of the earlier layers one reads. No and yes have the logits -q and q.
    fn attend(&self, state: &[f64], anchors: &[(Vec<f64>, Vec<f64>)]) -> Vec<Attended> {
        let present = times(self.part(&self.layout.attention_2), state);
        let of = |(_, anchor): &(Vec<f64>, Vec<f64>)| {
            let query: Vec<f64> = anchor.iter().zip(&present).map(|(a, b)| (a + b).tanh()).collect();
            let (logit, slope) = self.logit(dot(&query, self.part(&self.layout.attention_v)));
            let yes = sigmoid(2.0 * logit);
            let choice =
                Choice { probabilities: vec![1.0 - yes, yes], slopes: vec![-slope, slope], chosen: 0 };
            Attended { query, choice }
        };
        anchors.iter().map(of).collect()
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
