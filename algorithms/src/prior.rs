//! Beliefs of users where the best point lies, as piBO uses them (Hvarfner et al. 2022, arXiv:2204.11051). Pure functions.
//!
//! | symbol | meaning |
//! |---|---|
//! | u | coordinate of a parameter in [0, 1] |
//! | t | its value on its natural scale: itself, or its logarithm to base 10 |
//! | pi | the believed density over u, 1 everywhere where nothing is believed |
//!
//! A sampler multiplies its acquisition value by pi(x)^(beta/n), so that a wrong belief fades with evidence.

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};
use study::{Assignment, Parameter, Prior, Space};

use crate::encode::{Span, encode_value};

/// Budget that is reckoned with where none is set.
const USUAL_BUDGET: u64 = 100;
/// Times the width of a domain from which on a standard deviation says nothing.
const FLAT: f64 = 1e6;

/// The exponent of the density after `n` measured trials: beta / n with beta a tenth of the budget, as the authors have it.
pub fn exponent(max_trials: Option<u64>, n: usize) -> f64 {
    max_trials.unwrap_or(USUAL_BUDGET) as f64 / 10.0 / n.max(1) as f64
}

/// ln pi of a whole assignment: the sum over its active parameters; 0 where nothing is believed. Finite.
pub fn log_density(space: &Space, assignment: &Assignment) -> f64 {
    let parameters = space.parameters().iter().enumerate();
    let active = parameters.filter_map(|(i, parameter)| Some((parameter, assignment.get(i)?)));
    active.map(|(parameter, value)| log_density_at(parameter, encode_value(&parameter.domain, value))).sum()
}

/// ln pi of one parameter at a coordinate in [0, 1]; its exponential integrates to 1. Finite.
pub fn log_density_at(parameter: &Parameter, u: f64) -> f64 {
    match Belief::of(parameter) {
        None => 0.0,
        Some(Belief::Normal { mean, std, span }) => {
            let (low, high) = span.bounds();
            let at = span.at(u);
            let normal = Normal::standard();
            let mass = normal.cdf((high - mean) / std) - normal.cdf((low - mean) / std);
            normal.ln_pdf((at - mean) / std) - std.ln() - mass.ln() + span.log_slope(at)
        }
        Some(Belief::Weighted(weights)) => {
            let n = weights.len() as f64;
            let k = ((u * n) as usize).min(weights.len() - 1);
            (weights[k] * n / weights.iter().sum::<f64>()).ln()
        }
    }
}

/// A point of the unit cube, distributed as pi if `u` is uniform: each coordinate's quantile. Without beliefs it is `u`.
pub fn draw(space: &Space, u: &[f64]) -> Vec<f64> {
    space.parameters().iter().zip(u).map(|(parameter, u)| quantile(parameter, *u)).collect()
}

/// The coordinate below which the share `p` of the believed probability lies.
fn quantile(parameter: &Parameter, p: f64) -> f64 {
    match Belief::of(parameter) {
        None => p,
        Some(Belief::Normal { mean, std, span }) => {
            let (low, high) = span.bounds();
            let normal = Normal::standard();
            let (below, up_to) = (normal.cdf((low - mean) / std), normal.cdf((high - mean) / std));
            let at = mean + std * normal.inverse_cdf(below + p * (up_to - below));
            span.coordinate(at.clamp(low, high))
        }
        Some(Belief::Weighted(weights)) => {
            let mut left = p * weights.iter().sum::<f64>();
            let last = weights.len() - 1;
            let mut k = 0;
            while k < last && left >= weights[k] {
                left -= weights[k];
                k += 1;
            }
            (k as f64 + (left / weights[k]).clamp(0.0, 1.0)) / weights.len() as f64
        }
    }
}

/// A belief that says something.
enum Belief<'a> {
    /// Mean and standard deviation on the natural scale that `span` describes.
    Normal {
        mean: f64,
        std: f64,
        span: Span,
    },
    Weighted(&'a [f64]),
}

impl<'a> Belief<'a> {
    fn of(parameter: &'a Parameter) -> Option<Self> {
        match parameter.prior.as_ref()? {
            Prior::Normal { mean, std } => {
                let span = Span::of(&parameter.domain)?;
                let (low, high) = span.bounds();
                let mean = span.natural(*mean).clamp(low, high);
                (low < high && *std < FLAT * (high - low)).then_some(Self::Normal { mean, std: *std, span })
            }
            Prior::Weighted { weights } => (!weights.is_empty()).then_some(Self::Weighted(weights)),
        }
    }
}

#[cfg(test)]
mod tests {
    use study::{Distribution, Domain, Value};

    use super::*;
    use crate::encode::Encoder;
    use crate::rng::Streams;
    use crate::testing;

    fn believed(domain: Domain, prior: Prior) -> Parameter {
        Parameter { prior: Some(prior), ..testing::with("p", domain) }
    }

    fn parameters() -> Vec<Parameter> {
        use Distribution::{LogNormal, LogUniform, Normal, Uniform};
        let mut all = vec![
            believed(
                Domain::Categorical { choices: vec!["a".into(), "b".into(), "c".into()], ordered: false },
                Prior::Weighted { weights: vec![3.0, 0.5, 1.5] },
            ),
            believed(
                Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Uniform },
                Prior::Normal { mean: 1.0, std: 0.01 },
            ),
            believed(
                Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Uniform },
                Prior::Normal { mean: 0.2, std: 1e12 },
            ),
        ];
        for distribution in [Uniform, LogUniform, Normal, LogNormal] {
            let prior = || Prior::Normal { mean: 3.0, std: 0.4 };
            let int = Domain::Int { min: 1, max: 40, step: 1, distribution };
            all.push(believed(int, prior()));
            all.push(believed(Domain::Float { min: 0.1, max: 10.0, step: None, distribution }, prior()));
            all.push(believed(Domain::Float { min: 0.5, max: 9.0, step: Some(0.5), distribution }, prior()));
        }
        all
    }

    #[test]
    fn the_density_integrates_to_one_and_draws_follow_it() {
        for parameter in parameters() {
            let n = 200_000;
            let at = |i: usize| (i as f64 + 0.5) / n as f64;
            let mass: Vec<f64> = (0..n).map(|i| log_density_at(&parameter, at(i)).exp() / n as f64).collect();
            let total: f64 = mass.iter().sum();
            assert!((total - 1.0).abs() < 1e-3, "{parameter:?}: {total}");
            // Below the quantile of a share lies that share.
            for share in [0.1, 0.5, 0.9] {
                let edge = (quantile(&parameter, share) * n as f64) as usize;
                let below: f64 = mass[..edge].iter().sum();
                assert!((below - share).abs() < 3e-3, "{parameter:?}: {below} below the quantile of {share}");
            }
        }
    }

    #[test]
    fn a_deviation_of_a_logarithmic_parameter_is_in_powers_of_ten() {
        let domain =
            Domain::Float { min: 1e-6, max: 1.0, step: None, distribution: Distribution::LogUniform };
        let parameter = believed(domain, Prior::Normal { mean: 1e-3, std: 0.5 });
        let space = Space::new(vec![parameter], vec![]).unwrap();
        let at = |x: f64| log_density(&space, &Assignment(vec![Some(Value::Float(x))]));
        // One standard deviation, and two, to either side.
        for (x, sigmas) in [(1e-3 * 10_f64.sqrt(), 1.0_f64), (1e-2, 2.0), (1e-4, 2.0)] {
            assert!((at(1e-3) - at(x) - sigmas.powi(2) / 2.0).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn what_is_inactive_or_not_believed_in_counts_nothing() {
        let space = testing::mixed();
        let mut rng = Streams::new(1).stream("test", study::TrialIdx(0));
        let assignment = Encoder::new(&space).uniform(&mut rng).unwrap();
        assert!(log_density(&space, &assignment).abs() < 1e-15);
        let inactive = Assignment(vec![None; space.parameters().len()]);
        assert!(log_density(&space, &inactive).abs() < 1e-15);
        assert_eq!(draw(&space, &[0.25, 0.5, 0.75]), [0.25, 0.5, 0.75]);
    }

    #[test]
    fn far_from_the_belief_the_density_is_small_and_finite() {
        let domain = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        let parameter = believed(domain, Prior::Normal { mean: 0.0, std: 1e-6 });
        let far = log_density_at(&parameter, 1.0);
        assert!(far.is_finite() && far < -1e9, "{far}");
    }

    #[test]
    fn a_belief_fades_with_evidence() {
        assert!((exponent(Some(50), 10) - 0.5).abs() < 1e-15);
        assert!((exponent(None, 0) - 10.0).abs() < 1e-15);
    }
}
