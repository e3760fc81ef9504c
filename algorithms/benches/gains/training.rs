//! Trainings whose best schedule is not constant: each is a few floats that a turn moves on.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, Distribution, Domain, Parameter, Space, TrialIdx, Value};

use algorithms::rng::Streams;

/// What is trained. Costs are finite whatever the parameters.
pub(super) struct Training {
    pub(super) name: &'static str,
    /// Turns of a member, if all have as many.
    pub(super) turns: u64,
    pub(super) parameters: fn() -> Vec<Parameter>,
    /// Where it begins.
    pub(super) begin: fn(&mut ChaCha8Rng) -> Vec<f64>,
    /// Trains for a turn; the cost after it.
    pub(super) turn: fn(&mut [f64], &Assignment, &mut ChaCha8Rng) -> f64,
}

/// All there are.
pub(super) const TRAININGS: [Training; 3] = [
    Training { name: "toy", turns: 30, parameters: of_toy, begin: begin_toy, turn: turn_toy },
    Training { name: "quadratic", turns: 40, parameters: of_rate, begin: begin_bowl, turn: turn_bowl },
    Training { name: "spirals", turns: 60, parameters: of_network, begin: begin_network, turn: turn_network },
];

impl Training {
    /// Its search space.
    pub(super) fn space(&self) -> Space {
        Space::new((self.parameters)(), vec![]).unwrap_or_else(|errors| panic!("{errors:?}"))
    }
}

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.into(), domain, when: vec![], default: None, prior: None }
}

fn float(name: &str, min: f64, max: f64, distribution: Distribution) -> Parameter {
    parameter(name, Domain::Float { min, max, step: None, distribution })
}

fn number(assignment: &Assignment, parameter: usize) -> f64 {
    match assignment.get(parameter) {
        Some(Value::Float(x)) => x,
        other => panic!("parameter {parameter} is {other:?}, which is no number"),
    }
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

// The toy of Jaderberg et al. 2017, arXiv:1711.09846, figure 2: 1.2 less the sum of squares is to be as large as it can,
// and steps follow a surrogate that sees only one of the two coordinates, which the parameter chooses.

const TOY_STEPS: usize = 10;
const TOY_RATE: f64 = 0.01;

fn of_toy() -> Vec<Parameter> {
    let choices = ["first", "second"].map(String::from).to_vec();
    vec![parameter("sees", Domain::Categorical { choices, ordered: false })]
}

fn begin_toy(_: &mut ChaCha8Rng) -> Vec<f64> {
    vec![0.9, 0.9]
}

fn turn_toy(x: &mut [f64], assignment: &Assignment, _: &mut ChaCha8Rng) -> f64 {
    let Some(Value::Choice(seen)) = assignment.get(0) else { panic!("{assignment:?} has no choice") };
    x[seen] *= (1.0 - 2.0 * TOY_RATE).powi(TOY_STEPS as i32);
    x.iter().map(|x| x * x).sum::<f64>() - 1.2
}

// A bowl whose axes differ, descended with noise: a large rate comes near soon and never arrives, a small one is late.

const AXES: usize = 20;
const BOWL_STEPS: usize = 10;

/// Curvatures from 1 to 0.1.
fn curvature(axis: usize) -> f64 {
    0.1_f64.powf(axis as f64 / (AXES - 1) as f64)
}

fn of_rate() -> Vec<Parameter> {
    vec![float("rate", 1e-3, 1.0, Distribution::LogUniform)]
}

fn begin_bowl(_: &mut ChaCha8Rng) -> Vec<f64> {
    vec![10.0; AXES]
}

/// Stable, as no rate times a curvature is above 1. The cost is the logarithm of what is left, to the base of 10.
fn turn_bowl(x: &mut [f64], assignment: &Assignment, rng: &mut ChaCha8Rng) -> f64 {
    let rate = number(assignment, 0);
    for _ in 0..BOWL_STEPS {
        for (axis, x) in x.iter_mut().enumerate() {
            *x -= rate * (curvature(axis) * *x + normal(rng));
        }
    }
    x.iter().enumerate().map(|(axis, x)| 0.5 * curvature(axis) * x * x).sum::<f64>().log10()
}

// Two spirals, a tenth of whose labels are wrong, told apart by a network with one hidden layer, by gradient descent with
// momentum; the cost is the log-loss of points that it does not learn from.

const HIDDEN: usize = 24;
/// Of each hidden unit two weights and an offset, then what it counts for, and an offset of all.
const WEIGHTS: usize = 4 * HIDDEN + 1;
const LEARNT: usize = 300;
const MEASURED: usize = 500;
const BATCH: usize = 10;
const WRONG: f64 = 0.1;
/// Chances are kept off 0 and 1 by this.
const LEAST: f64 = 1e-6;

struct Sample {
    x: [f64; 2],
    label: f64,
}

/// Those to learn from, then those to measure on; the same in every run.
static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let mut rng = Streams::new(1711).stream("spirals", TrialIdx(0));
    (0..LEARNT + MEASURED).map(|i| sample(i.is_multiple_of(2), &mut rng)).collect()
});

fn sample(first: bool, rng: &mut ChaCha8Rng) -> Sample {
    let way = rng.random::<f64>().sqrt();
    let angle = 0.75 * TAU * way + if first { 0.0 } else { TAU / 2.0 };
    let x = [angle.cos(), angle.sin()].map(|axis| 2.0 * way * axis + 0.1 * normal(rng));
    let label = if first == (rng.random::<f64>() < WRONG) { 0.0 } else { 1.0 };
    Sample { x, label }
}

fn of_network() -> Vec<Parameter> {
    vec![
        float("rate", 1e-3, 3.0, Distribution::LogUniform),
        float("momentum", 0.0, 0.95, Distribution::Uniform),
    ]
}

/// Weights, then how they move.
fn begin_network(rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..2 * WEIGHTS).map(|i| if i < WEIGHTS { normal(rng) } else { 0.0 }).collect()
}

/// The hidden layer, and the chance of a label of 1.
fn forward(weights: &[f64], x: [f64; 2]) -> ([f64; HIDDEN], f64) {
    let mut hidden = [0.0; HIDDEN];
    let mut sum = weights[WEIGHTS - 1];
    for (unit, weights) in hidden.iter_mut().zip(weights.chunks_exact(4)) {
        *unit = (weights[0] * x[0] + weights[1] * x[1] + weights[2]).tanh();
        sum += weights[3] * *unit;
    }
    (hidden, 1.0 / (1.0 + (-sum).exp()))
}

/// Adds the slopes of one sample's log-loss.
fn add_slopes(slopes: &mut [f64], weights: &[f64], sample: &Sample) {
    let (hidden, chance) = forward(weights, sample.x);
    let error = (chance - sample.label) / BATCH as f64;
    slopes[WEIGHTS - 1] += error;
    let units = slopes.chunks_exact_mut(4).zip(weights.chunks_exact(4));
    for ((slopes, weights), unit) in units.zip(hidden) {
        let inner = error * weights[3] * (1.0 - unit * unit);
        slopes[0] += inner * sample.x[0];
        slopes[1] += inner * sample.x[1];
        slopes[2] += inner;
        slopes[3] += error * unit;
    }
}

/// An epoch. Slopes are bounded by the weights behind them, so nothing overflows.
fn turn_network(state: &mut [f64], assignment: &Assignment, rng: &mut ChaCha8Rng) -> f64 {
    let (rate, momentum) = (number(assignment, 0), number(assignment, 1));
    let (learnt, measured) = SAMPLES.split_at(LEARNT);
    let (weights, moves) = state.split_at_mut(WEIGHTS);
    for _ in 0..LEARNT / BATCH {
        let mut slopes = [0.0; WEIGHTS];
        for _ in 0..BATCH {
            add_slopes(&mut slopes, weights, &learnt[rng.random_range(0..LEARNT)]);
        }
        for ((weight, moved), slope) in weights.iter_mut().zip(&mut *moves).zip(slopes) {
            *moved = momentum * *moved - rate * slope;
            *weight += *moved;
        }
    }
    let losses = measured.iter().map(|sample| {
        let chance = forward(weights, sample.x).1.clamp(LEAST, 1.0 - LEAST);
        -(if sample.label > 0.5 { chance } else { 1.0 - chance }).ln()
    });
    losses.sum::<f64>() / MEASURED as f64
}
