//! Points near others, in spaces of every kind.

use rand::RngExt as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::{Assignment, Domain, Value};

use crate::encode::{Encoder, decode_value, encode_value};

/// By how much a step grows until it leads to another value of a lattice, and how often.
const WIDER: f64 = 1.5;
const TRIES: usize = 24;

/// The point with `n` of its parameters changed, at least one: names to any other, numbers by a normal step of this
/// deviation in the unit cube. What becomes active is drawn from its prior. Constraints are not looked at.
pub(crate) fn mutated(
    encoder: &Encoder,
    parent: &Assignment,
    n: usize,
    step: f64,
    rng: &mut ChaCha8Rng,
) -> Assignment {
    let space = encoder.space();
    let domain = |i: usize| &space.parameters()[i].domain;
    let changeable = |i: &usize| parent.get(*i).is_some() && domain(*i).cardinality() != Some(1);
    let active: Vec<usize> = (0..space.parameters().len()).filter(changeable).collect();
    let chosen: Vec<usize> =
        index::sample(rng, active.len(), n.clamp(1, active.len().max(1)).min(active.len()))
            .iter()
            .map(|k| active[k])
            .collect();
    let mut child = Assignment(vec![None; space.parameters().len()]);
    for &i in space.parents_first() {
        if space.is_active(i, &child) {
            child.0[i] = Some(match parent.get(i) {
                Some(value) if chosen.contains(&i) => moved(domain(i), value, step, rng),
                Some(value) => value,
                None => decode_value(domain(i), rng.random()),
            });
        }
    }
    child
}

/// Another value of the domain; the same if a lattice has no other that is near.
fn moved(domain: &Domain, value: Value, step: f64, rng: &mut ChaCha8Rng) -> Value {
    if let (Domain::Categorical { choices, ordered: false }, Value::Choice(i)) = (domain, value) {
        let other = rng.random_range(0..choices.len().max(2) - 1);
        return Value::Choice(if other < i { other } else { (other + 1).min(choices.len() - 1) });
    }
    let u = encode_value(domain, value);
    let steps = std::iter::successors(Some(step), |step| Some(step * WIDER)).take(TRIES);
    let mut others = steps.map(|step| {
        let z = Normal::standard().inverse_cdf(rng.random_range(1e-9..1.0));
        decode_value(domain, reflected(u + step * z))
    });
    others.find(|other| *other != value).unwrap_or(value)
}

/// The coordinate with what lies outside of `[0, 1]` folded back into it.
fn reflected(u: f64) -> f64 {
    let t = u.rem_euclid(2.0);
    if t > 1.0 { 2.0 - t } else { t }
}

#[cfg(test)]
mod tests {
    use study::TrialIdx;

    use super::*;
    use crate::rng::Streams;
    use crate::testing;

    #[test]
    fn mutants_differ_and_lie_in_their_domains() {
        for space in testing::spaces() {
            let encoder = Encoder::new(&space);
            let mut rng = Streams::new(1).stream("test", TrialIdx(0));
            for _ in 0..200 {
                let parent = encoder.draw(&mut rng);
                let child = mutated(&encoder, &parent, 1, 1e-3, &mut rng);
                assert_ne!(parent, child);
                let kept = child.0.iter().zip(&parent.0).filter(|(a, b)| a == b).count();
                assert!(space.is_conditional() || kept == parent.0.len() - 1, "one changed");
                assert_eq!(space.deactivate(child.clone()), child, "what is not active has no value");
                let inside = |i: usize, value: Value| space.parameters()[i].domain.contains(value);
                assert!(
                    child.0.iter().enumerate().all(|(i, value)| value.is_none_or(|value| inside(i, value)))
                );
            }
        }
    }

    #[test]
    fn steps_have_the_deviation_asked_for() {
        let encoder = Encoder::new(&testing::mixed());
        let mut rng = Streams::new(1).stream("test", TrialIdx(0));
        let middle = encoder.decode(&[0.5, 0.5, 0.5]);
        let squares = (0..4000).map(|_| {
            let x = encoder.encode(&mutated(&encoder, &middle, 3, 0.1, &mut rng));
            (x[0] - 0.5).powi(2)
        });
        let deviation = (squares.sum::<f64>() / 4000.0).sqrt();
        assert!((deviation - 0.1).abs() < 0.005, "{deviation}");
        assert!((reflected(-0.2) - 0.2).abs() < 1e-12 && (reflected(1.3) - 0.7).abs() < 1e-12);
    }
}
