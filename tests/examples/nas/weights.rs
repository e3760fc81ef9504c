//! What a network has learnt, under names: weights with their slopes, and the statistics of its normalisations.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::random::Random;

/// Numbers under names, each with its shape; made when they are first asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) values: Vec<f32>,
    places: BTreeMap<String, (usize, Vec<usize>)>,
}

impl Named {
    /// The place of a name; what it holds at first is given by its position.
    pub(crate) fn place(
        &mut self,
        name: &str,
        shape: &[usize],
        mut first: impl FnMut(usize) -> f32,
    ) -> Range<usize> {
        let n = shape.iter().product::<usize>();
        if let Some((start, known)) = self.places.get(name) {
            assert_eq!(known, shape, "{name} keeps its shape");
            return *start..start + n;
        }
        let start = self.values.len();
        self.values.extend((0..n).map(&mut first));
        self.places.insert(name.into(), (start, shape.to_vec()));
        start..start + n
    }

    /// All of it, by name.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.places.iter().map(|(name, (start, shape))| {
            let n = shape.iter().product::<usize>();
            (name.as_str(), &shape[..], &self.values[*start..start + n])
        })
    }
}

/// Weights of a network.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) named: Named,
    /// Slopes of the loss, as long as the values.
    pub(crate) slopes: Vec<f32>,
    random: Random,
}

impl Weights {
    pub(crate) fn new(seed: u64) -> Self {
        Self { named: Named::default(), slopes: Vec::new(), random: Random::new(seed) }
    }

    /// Weights of a sum over `n` inputs: variance 2 / n (He et al. 2015, arXiv:1502.01852, eq. 10). Zeros for a bias.
    pub(crate) fn place(&mut self, name: &str, shape: &[usize], n: usize) -> Range<usize> {
        let scale = if n == 0 { 0.0 } else { (2.0 / n as f32).sqrt() };
        let random = &mut self.random;
        let place = self.named.place(name, shape, |_| if n == 0 { 0.0 } else { scale * random.normal() });
        self.slopes.resize(self.named.values.len(), 0.0);
        place
    }
}

/// Stochastic gradient descent with momentum; weights that come later join it.
#[derive(Clone, Debug)]
pub(crate) struct Descent {
    pub(crate) rate: f32,
    pub(crate) momentum: f32,
    pub(crate) decay: f32,
    /// Longest step before momentum, as the norm of all slopes; 0 for any.
    pub(crate) clip: f32,
    pub(crate) velocity: Vec<f32>,
}

impl Descent {
    pub(crate) fn step(&mut self, weights: &mut Weights) {
        self.velocity.resize(weights.slopes.len(), 0.0);
        let length = norm(&weights.slopes);
        let scale = if self.clip > 0.0 && length > self.clip { self.clip / length } else { 1.0 };
        let all = weights.named.values.iter_mut().zip(&weights.slopes).zip(&mut self.velocity);
        for ((weight, slope), velocity) in all {
            *velocity = self.momentum * *velocity + scale * slope + self.decay * *weight;
            *weight -= self.rate * *velocity;
        }
    }
}

/// Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), with decay as part of the slope.
#[derive(Clone, Debug)]
pub(crate) struct Adam {
    rate: f32,
    decay: f32,
    betas: (f32, f32),
    moments: Vec<(f32, f32)>,
    steps: i32,
}

impl Adam {
    pub(crate) fn new(n: usize, rate: f32, decay: f32, betas: (f32, f32)) -> Self {
        Self { rate, decay, betas, moments: vec![(0.0, 0.0); n], steps: 0 }
    }

    pub(crate) fn step(&mut self, values: &mut [f32], slopes: &[f32]) {
        self.steps += 1;
        let (b1, b2) = self.betas;
        let (c1, c2) = (1.0 - b1.powi(self.steps), 1.0 - b2.powi(self.steps));
        for ((value, slope), (m, v)) in values.iter_mut().zip(slopes).zip(&mut self.moments) {
            let slope = slope + self.decay * *value;
            *m = b1 * *m + (1.0 - b1) * slope;
            *v = b2 * *v + (1.0 - b2) * slope * slope;
            *value -= self.rate * (*m / c1) / ((*v / c2).sqrt() + 1e-8);
        }
    }
}

/// Euclidean length.
pub(crate) fn norm(values: &[f32]) -> f32 {
    values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt() as f32
}

/// From `rate` to `last` along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5).
pub(crate) fn cosine(rate: f32, last: f32, epoch: usize, epochs: usize) -> f32 {
    let turn = std::f32::consts::PI * epoch as f32 / epochs as f32;
    last + 0.5 * (rate - last) * (1.0 + turn.cos())
}
