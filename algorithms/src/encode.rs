//! Assignments as points of the unit cube and back.
//!
//! One coordinate a parameter, in the space's order. A uniform coordinate gives a value distributed as the parameter's
//! prior. Domains with a cardinality are cut into equal cells, a value sits at the centre of its cell. Inactive
//! parameters sit at 0.5.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};
use study::{Assignment, Distribution, Domain, Space, Value};

use crate::prior;

/// How often a point is drawn anew before a space's constraints are taken to leave nothing.
pub const MAX_DRAWS: usize = 10_000;

/// Translates between the assignments of a space and the unit cube.
#[derive(Clone, Debug)]
pub struct Encoder {
    space: Space,
}

impl Encoder {
    /// The encoder of a space.
    pub fn new(space: &Space) -> Self {
        Self { space: space.clone() }
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Number of coordinates: one a parameter.
    pub fn dims(&self) -> usize {
        self.space.parameters().len()
    }

    /// The point of an assignment; each coordinate in [0, 1].
    pub fn encode(&self, assignment: &Assignment) -> Vec<f64> {
        let parameters = self.space.parameters().iter().enumerate();
        parameters
            .map(|(i, p)| assignment.get(i).map_or(0.5, |value| encode_value(&p.domain, value)))
            .collect()
    }

    /// The assignment of a point; coordinates out of [0, 1] are clamped. Always of the space's domains, with inactive
    /// parameters left out; constraints are not looked at.
    pub fn decode(&self, x: &[f64]) -> Assignment {
        let parameters = self.space.parameters().iter().zip(x);
        let values = parameters.map(|(p, u)| Some(decode_value(&p.domain, u.clamp(0.0, 1.0)))).collect();
        self.space.deactivate(Assignment(values))
    }

    /// Draws points from `next` until one meets the constraints; `None` if [`MAX_DRAWS`] did not.
    pub fn feasible(&self, mut next: impl FnMut(usize) -> Vec<f64>) -> Option<Assignment> {
        let draws = if self.space.constraints().is_empty() { 1 } else { MAX_DRAWS };
        (0..draws).map(|draw| self.decode(&next(draw))).find(|point| self.space.is_feasible(point))
    }

    /// A uniform point of the cube that meets the constraints, `None` if none was found.
    pub fn uniform(&self, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        self.feasible(|_| self.draw_cube(rng))
    }

    /// A uniform point of the cube; constraints are not looked at.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Assignment {
        self.decode(&self.draw_cube(rng))
    }

    fn draw_cube(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        (0..self.dims()).map(|_| rng.random::<f64>()).collect()
    }

    /// A combination of values by number, the last parameter running fastest, as a point of the space. A continuum is
    /// cut into `points` values at equal steps of its prior, both bounds among them.
    pub fn combination(&self, mut number: u128, points: u64) -> Assignment {
        let mut values = vec![None; self.dims()];
        for (value, parameter) in values.iter_mut().zip(self.space.parameters()).rev() {
            let domain = &parameter.domain;
            let size = domain.cardinality();
            let n = u128::from(size.unwrap_or(points));
            let k = (number % n) as u64;
            *value = Some(match size {
                Some(_) => domain.nth(k),
                None => decode_value(domain, k as f64 / points.saturating_sub(1).max(1) as f64),
            });
            number /= n;
        }
        self.space.deactivate(Assignment(values))
    }

    /// A point drawn from what the user believes that meets the constraints, uniform where nothing is believed; `None`
    /// if none was found.
    pub fn believed(&self, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let dims = self.dims();
        self.feasible(|_| {
            let u: Vec<f64> = (0..dims).map(|_| rng.random::<f64>()).collect();
            prior::draw(&self.space, &u)
        })
    }

    /// How many assignments there are when conditions are ignored; `None` if infinitely or too many.
    pub fn cardinality(&self) -> Option<u64> {
        self.space.parameters().iter().try_fold(1_u64, |n, p| n.checked_mul(p.domain.cardinality()?))
    }
}

/// The coordinate of a value, in [0, 1].
pub fn encode_value(domain: &Domain, value: Value) -> f64 {
    match (domain, value) {
        (Domain::Float { min, max, step: None, distribution }, Value::Float(x)) => {
            to_unit(*distribution, *min, *max, x)
        }
        (Domain::Float { min, max, step: Some(step), distribution }, Value::Float(x)) => {
            lattice_to_unit(*distribution, (*min, *max), *step, x)
        }
        (Domain::Int { min, max, step, distribution }, Value::Int(x)) => {
            lattice_to_unit(*distribution, (*min as f64, *max as f64), *step as f64, x as f64)
        }
        (Domain::Discrete { values, .. }, Value::Choice(i)) => cell_centre(i as u64, values.len() as u64),
        (Domain::Categorical { choices, .. }, Value::Choice(i)) => {
            cell_centre(i as u64, choices.len() as u64)
        }
        _ => 0.5,
    }
}

/// The value of a coordinate in [0, 1].
pub fn decode_value(domain: &Domain, u: f64) -> Value {
    match domain {
        Domain::Float { min, max, step: None, distribution } => {
            Value::Float(from_unit(*distribution, *min, *max, u))
        }
        Domain::Float { min, max, step: Some(step), distribution } => {
            domain.nth(unit_to_lattice(*distribution, (*min, *max), *step, u))
        }
        Domain::Int { min, max, step, distribution } => {
            domain.nth(unit_to_lattice(*distribution, (*min as f64, *max as f64), *step as f64, u))
        }
        Domain::Discrete { values, .. } => Value::Choice(cell(u, values.len() as u64) as usize),
        Domain::Categorical { choices, .. } => Value::Choice(cell(u, choices.len() as u64) as usize),
    }
}

/// The part of [0, 1] that decodes to the `k`-th value of a domain with a cardinality.
pub fn cell_bounds(domain: &Domain, k: u64) -> (f64, f64) {
    let lattice = |distribution: Distribution, bounds: (f64, f64), step: f64| {
        let (low, high) = widened(distribution, bounds, step);
        let edge = |k: f64| to_unit(distribution, low, high, (bounds.0 + (k - 0.5) * step).clamp(low, high));
        (edge(k as f64), edge(k as f64 + 1.0))
    };
    match domain {
        Domain::Float { min, max, step, distribution } => {
            step.map_or((0.0, 1.0), |step| lattice(*distribution, (*min, *max), step))
        }
        Domain::Int { min, max, step, distribution } => {
            lattice(*distribution, (*min as f64, *max as f64), *step as f64)
        }
        Domain::Discrete { values, .. } => {
            (k as f64 / values.len() as f64, (k as f64 + 1.0) / values.len() as f64)
        }
        Domain::Categorical { choices, .. } => {
            (k as f64 / choices.len() as f64, (k as f64 + 1.0) / choices.len() as f64)
        }
    }
}

fn cell(u: f64, n: u64) -> u64 {
    ((u * n as f64) as u64).min(n.saturating_sub(1))
}

fn cell_centre(k: u64, n: u64) -> f64 {
    (k as f64 + 0.5) / n.max(1) as f64
}

/// Number of steps from min to max on a lattice.
fn last_step(bounds: (f64, f64), step: f64) -> u64 {
    ((bounds.1 - bounds.0) / step + 1e-9).floor().max(0.0) as u64
}

/// A uniform lattice has cells of equal mass; any other has those of its prior between `min - step/2` and
/// `max + step/2`, cut at half a unit above zero where the logarithm needs it.
fn widened(distribution: Distribution, bounds: (f64, f64), step: f64) -> (f64, f64) {
    let top = bounds.0 + last_step(bounds, step) as f64 * step;
    let low = bounds.0 - 0.5 * step;
    (if distribution.is_log() { low.max(0.5 * bounds.0) } else { low }, top + 0.5 * step)
}

fn lattice_to_unit(distribution: Distribution, bounds: (f64, f64), step: f64, x: f64) -> f64 {
    let (low, high) = widened(distribution, bounds, step);
    to_unit(distribution, low, high, x)
}

fn unit_to_lattice(distribution: Distribution, bounds: (f64, f64), step: f64, u: f64) -> u64 {
    let (low, high) = widened(distribution, bounds, step);
    let x = from_unit(distribution, low, high, u);
    (((x - bounds.0) / step).round().max(0.0) as u64).min(last_step(bounds, step))
}

/// How a numeric domain lies on its natural scale: the value itself, or its logarithm to base 10.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    distribution: Distribution,
    low: f64,
    high: f64,
}

impl Span {
    /// The span of a numeric domain, of a lattice with half a step on either side; `None` for lists.
    pub(crate) fn of(domain: &Domain) -> Option<Self> {
        let (distribution, (low, high)) = match domain {
            Domain::Float { min, max, step: None, distribution } => (*distribution, (*min, *max)),
            Domain::Float { min, max, step: Some(step), distribution } => {
                (*distribution, widened(*distribution, (*min, *max), *step))
            }
            Domain::Int { min, max, step, distribution } => {
                (*distribution, widened(*distribution, (*min as f64, *max as f64), *step as f64))
            }
            Domain::Discrete { .. } | Domain::Categorical { .. } => return None,
        };
        Some(Self { distribution, low, high })
    }

    /// A value on the natural scale.
    pub(crate) fn natural(&self, x: f64) -> f64 {
        if self.distribution.is_log() { x.log10() } else { x }
    }

    /// The bounds on the natural scale.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        (self.natural(self.low), self.natural(self.high))
    }

    /// The place of a coordinate on the natural scale.
    pub(crate) fn at(&self, u: f64) -> f64 {
        self.natural(from_unit(self.distribution, self.low, self.high, u))
    }

    /// The coordinate of a place on the natural scale.
    pub(crate) fn coordinate(&self, t: f64) -> f64 {
        let x = if self.distribution.is_log() { 10.0_f64.powf(t) } else { t };
        to_unit(self.distribution, self.low, self.high, x)
    }

    /// ln dt/du at a place on the natural scale.
    pub(crate) fn log_slope(&self, t: f64) -> f64 {
        let (low, high) = self.bounds();
        match self.distribution {
            Distribution::Uniform | Distribution::LogUniform => (high - low).ln(),
            Distribution::Normal | Distribution::LogNormal => {
                let normal = Normal::standard();
                let std = (high - low) / (2.0 * BOUND_SIGMAS);
                let mass = normal.cdf(BOUND_SIGMAS) - normal.cdf(-BOUND_SIGMAS);
                std.ln() + mass.ln() - normal.ln_pdf((t - f64::midpoint(low, high)) / std)
            }
        }
    }
}

/// Standard deviations of a (log-)normal prior between its mean and either bound.
const BOUND_SIGMAS: f64 = 3.0;

/// Position of `x` in [min, max] under the prior's cumulative distribution.
fn to_unit(distribution: Distribution, min: f64, max: f64, x: f64) -> f64 {
    if max <= min {
        return 0.5;
    }
    let linear = |x: f64, low: f64, high: f64| ((x - low) / (high - low)).clamp(0.0, 1.0);
    match distribution {
        Distribution::Uniform => linear(x, min, max),
        Distribution::LogUniform => linear(x.ln(), min.ln(), max.ln()),
        Distribution::Normal => truncated_cdf(linear(x, min, max)),
        Distribution::LogNormal => truncated_cdf(linear(x.ln(), min.ln(), max.ln())),
    }
}

/// Inverse of [`to_unit`].
fn from_unit(distribution: Distribution, min: f64, max: f64, u: f64) -> f64 {
    if max <= min || u <= 0.0 {
        return min;
    }
    if u >= 1.0 {
        return max;
    }
    let linear = |u: f64, low: f64, high: f64| low + u * (high - low);
    let x = match distribution {
        Distribution::Uniform => linear(u, min, max),
        Distribution::LogUniform => linear(u, min.ln(), max.ln()).exp(),
        Distribution::Normal => linear(truncated_quantile(u), min, max),
        Distribution::LogNormal => linear(truncated_quantile(u), min.ln(), max.ln()).exp(),
    };
    x.clamp(min, max)
}

/// CDF of a normal with mean 0.5 and bounds at ±3 standard deviations, truncated to [0, 1].
fn truncated_cdf(t: f64) -> f64 {
    let normal = Normal::standard();
    let (low, high) = (normal.cdf(-BOUND_SIGMAS), normal.cdf(BOUND_SIGMAS));
    ((normal.cdf((2.0 * t - 1.0) * BOUND_SIGMAS) - low) / (high - low)).clamp(0.0, 1.0)
}

fn truncated_quantile(u: f64) -> f64 {
    let normal = Normal::standard();
    let (low, high) = (normal.cdf(-BOUND_SIGMAS), normal.cdf(BOUND_SIGMAS));
    let z = normal.inverse_cdf(low + u * (high - low));
    f64::midpoint(z / BOUND_SIGMAS, 1.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use study::Parameter;

    use super::*;

    fn domains() -> Vec<Domain> {
        use Distribution::{LogNormal, LogUniform, Normal, Uniform};
        let mut domains = vec![
            Domain::Discrete { texts: vec!["1".into(), "2.5".into()], values: vec![1.0, 2.5] },
            Domain::Categorical { choices: vec!["a".into(), "b".into(), "c".into()], ordered: false },
        ];
        for distribution in [Uniform, LogUniform, Normal, LogNormal] {
            domains.push(Domain::Float { min: 1e-3, max: 2.0, step: None, distribution });
            domains.push(Domain::Float { min: 0.5, max: 2.0, step: Some(0.25), distribution });
            domains.push(Domain::Int { min: 1, max: 10, step: 3, distribution });
        }
        domains
    }

    proptest! {
        #[test]
        fn a_decoded_value_lies_in_its_domain_and_reads_back(u in 0.0..=1.0_f64) {
            for domain in domains() {
                let value = decode_value(&domain, u);
                prop_assert!(domain.contains(value), "{domain:?} {value:?}");
                let again = decode_value(&domain, encode_value(&domain, value));
                if let (Value::Float(a), Value::Float(b)) = (value, again) {
                    prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1e-3));
                } else {
                    prop_assert_eq!(value, again);
                }
            }
        }
    }

    #[test]
    fn cells_of_a_uniform_lattice_are_equal() {
        let domain = Domain::Int { min: 1, max: 10, step: 3, distribution: Distribution::Uniform };
        let mut counts = [0; 4];
        for i in 0..4000 {
            let Value::Int(x) = decode_value(&domain, (f64::from(i) + 0.5) / 4000.0) else { unreachable!() };
            counts[((x - 1) / 3) as usize] += 1;
        }
        assert_eq!(counts, [1000; 4]);
    }

    #[test]
    fn the_cell_of_a_value_decodes_to_it() {
        for domain in domains() {
            let Some(n) = domain.cardinality() else { continue };
            let mut reached = 0.0;
            for k in 0..n {
                let (low, high) = cell_bounds(&domain, k);
                assert!((low - reached).abs() < 1e-12, "{domain:?} {k}");
                reached = high;
                for u in [low + 1e-9, f64::midpoint(low, high), high - 1e-9] {
                    assert_eq!(decode_value(&domain, u), domain.nth(k), "{domain:?} {k} {u}");
                }
            }
            assert!((reached - 1.0).abs() < 1e-12, "{domain:?}");
        }
    }

    #[test]
    fn a_normal_prior_has_its_mass_in_the_middle() {
        let domain = Domain::Float { min: 0.0, max: 6.0, step: None, distribution: Distribution::Normal };
        let Value::Float(x) = decode_value(&domain, 0.841_344_7) else { unreachable!() };
        assert!((x - 4.0).abs() < 0.01, "one standard deviation above the mean is 4, got {x}");
    }

    #[test]
    fn constraints_are_met_or_said_to_be_impossible() {
        let float = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        let parameter = |name: &str| Parameter {
            name: name.into(),
            domain: float.clone(),
            when: vec![],
            default: None,
            prior: None,
        };
        let space = |constraint: &str| {
            let constraint = study::Constraint::parse(constraint).unwrap();
            Space::new(vec![parameter("a"), parameter("b")], vec![constraint]).unwrap()
        };
        let mut rng = crate::rng::Streams::new(1).stream("test", study::TrialIdx(0));
        let possible = Encoder::new(&space("a + b <= 0.1"));
        let point = possible.uniform(&mut rng).unwrap();
        assert!(possible.space().contains(&point));
        assert_eq!(Encoder::new(&space("a > 2")).uniform(&mut rng), None);
    }
}
