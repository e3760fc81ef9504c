//! Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1) with its published constants.

use super::state::{Reader, Writer};

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Moments of the gradient.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    n_steps: i32,
}

impl Adam {
    pub(super) fn new(n: usize) -> Self {
        Self { first: vec![0.0; n], second: vec![0.0; n], n_steps: 0 }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.floats(&self.first);
        writer.floats(&self.second);
        writer.number(self.n_steps.unsigned_abs().into());
    }

    /// What was written of `n` weights.
    pub(super) fn read(reader: &mut Reader<'_>, n: usize) -> Option<Self> {
        let (first, second) = (reader.floats()?, reader.floats()?);
        let n_steps = i32::try_from(reader.number()?).ok()?;
        (first.len() == n && second.len() == n).then_some(Self { first, second, n_steps })
    }

    /// One step down a gradient.
    pub(super) fn step(&mut self, weights: &mut [f64], gradient: &[f64], learning_rate: f64) {
        self.n_steps = self.n_steps.saturating_add(1);
        let (c1, c2) = (1.0 - BETA_1.powi(self.n_steps), 1.0 - BETA_2.powi(self.n_steps));
        let scale = learning_rate * c2.sqrt() / c1;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((weight, g), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            *first += (1.0 - BETA_1) * (g - *first);
            *second += (1.0 - BETA_2) * (g * g - *second);
            *weight -= scale * *first / (second.sqrt() + EPSILON);
        }
    }
}
