//! Steps from one architecture to others, as points of a space of finitely many values.

use rand::RngExt as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, Domain, Space, Value};

/// Most values of a parameter that are all neighbours of each other; of one with more, those a power of two away are.
const ALL_VALUES: u64 = 32;

/// A step to a neighbour: another value of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Number of the parameter.
    pub parameter: usize,
    /// Its other value.
    pub value: Value,
}

/// Every step that leads to a neighbour, in the order of the space. A parameter of more than 32 values has those that are 1,
/// 2, 4 and so on away from its own, so at most 128: enough to come from any value to any other in a few steps.
pub fn steps(space: &Space, architecture: &Assignment) -> Vec<Step> {
    let mut found = Vec::new();
    for (parameter, it) in space.parameters().iter().enumerate() {
        let Some(value) = architecture.get(parameter) else { continue };
        let n = it.domain.cardinality().unwrap_or(0);
        let near = if n > ALL_VALUES { powers_away(place(&it.domain, value), n) } else { (0..n).collect() };
        let others = near.into_iter().map(|k| it.domain.nth(k)).filter(|other| *other != value);
        found.extend(others.map(|value| Step { parameter, value }));
    }
    found
}

/// The architecture that a step leads to. What it brings into being begins with its first value.
pub fn stepped(space: &Space, architecture: &Assignment, step: Step) -> Assignment {
    let mut changed = architecture.clone();
    changed.0[step.parameter] = Some(step.value);
    completed(space, changed, |i| space.parameters()[i].domain.nth(0))
}

/// Places below `n` that are a power of two away from one, in rising order.
fn powers_away(at: u64, n: u64) -> Vec<u64> {
    let powers = || (0..u64::BITS).map(|bit| 1_u64 << bit);
    let below = powers().rev().filter_map(|power| at.checked_sub(power));
    let above = powers().filter_map(|power| at.checked_add(power).filter(|place| *place < n));
    below.chain(above).collect()
}

/// The place of a value in the order of its domain.
fn place(domain: &Domain, value: Value) -> u64 {
    match (domain, value) {
        (Domain::Int { min, step, .. }, Value::Int(x)) => x.abs_diff(*min) / step.unsigned_abs().max(1),
        (Domain::Float { min, step: Some(step), .. }, Value::Float(x)) => ((x - min) / step).round() as u64,
        (_, Value::Choice(i)) => i as u64,
        _ => 0,
    }
}

/// The architecture with `n` of its values changed, or all where it has fewer with another value. What a change brings into
/// being is drawn.
pub fn mutated(space: &Space, architecture: &Assignment, n: usize, rng: &mut ChaCha8Rng) -> Assignment {
    let size = |i: &usize| space.parameters()[*i].domain.cardinality().unwrap_or(0);
    let open: Vec<usize> =
        (0..space.parameters().len()).filter(|i| architecture.get(*i).is_some() && size(i) > 1).collect();
    let mut changed = architecture.clone();
    for i in index::sample(rng, open.len(), n.min(open.len())).iter().map(|k| open[k]) {
        let domain = &space.parameters()[i].domain;
        // One of the others, each as likely.
        let k = rng.random_range(0..size(&i) - 1);
        let passed = architecture.get(i).is_some_and(|own| place(domain, own) <= k);
        changed.0[i] = Some(domain.nth(if passed { k + 1 } else { k }));
    }
    completed(space, changed, |i| drawn(space, i, rng))
}

/// An architecture whose every value is that of one or the other parent, as likely.
pub fn crossed(space: &Space, a: &Assignment, b: &Assignment, rng: &mut ChaCha8Rng) -> Assignment {
    let child = a.0.iter().zip(&b.0).map(|(a, b)| match (a, b) {
        (Some(_), Some(_)) => *if rng.random::<bool>() { a } else { b },
        (a, b) => a.or(*b),
    });
    let child = Assignment(child.collect());
    completed(space, child, |i| drawn(space, i, rng))
}

/// Any architecture: every value drawn, each as likely.
pub fn random(space: &Space, rng: &mut ChaCha8Rng) -> Assignment {
    completed(space, Assignment(vec![None; space.parameters().len()]), |i| drawn(space, i, rng))
}

/// In how many values two architectures differ; one that only one of them has counts.
pub fn differing(a: &Assignment, b: &Assignment) -> usize {
    a.0.iter().zip(&b.0).filter(|(a, b)| a != b).count()
}

fn drawn(space: &Space, parameter: usize, rng: &mut ChaCha8Rng) -> Value {
    let domain = &space.parameters()[parameter].domain;
    domain.nth(rng.random_range(0..domain.cardinality().unwrap_or(1)))
}

/// Without the values that its own conditions do not have, and with `value` for those that are missing.
fn completed(
    space: &Space,
    mut architecture: Assignment,
    mut value: impl FnMut(usize) -> Value,
) -> Assignment {
    for &i in space.parents_first() {
        architecture.0[i] = match architecture.get(i) {
            _ if !space.is_active(i, &architecture) => None,
            Some(known) => Some(known),
            None => Some(value(i)),
        };
    }
    architecture
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use algorithms::rng::Streams;
    use study::{Distribution, Parameter, TrialIdx};

    use super::*;
    use crate::architectures::Architectures as _;
    use crate::cells::CellSpace;

    #[test]
    fn a_mutation_changes_as_many_values_as_it_says_and_each_other_one_is_as_likely() {
        let cells = CellSpace::nas_bench_201();
        let space = cells.space();
        let mut rng = Streams::new(1).stream("test", TrialIdx(0));
        let cell = random(space, &mut rng);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..4800 {
            let child = mutated(space, &cell, 1, &mut rng);
            assert!(space.contains(&child));
            assert_eq!(differing(&cell, &child), 1);
            *seen.entry(cells.cell(&child).to_json().to_string()).or_default() += 1;
        }
        // 24 neighbours, 200 draws of each expected, deviation 14: five of them are room enough.
        assert_eq!(seen.len(), steps(space, &cell).len());
        assert!(seen.values().all(|n| (130..=270).contains(n)), "{seen:?}");
        assert_eq!(differing(&cell, &mutated(space, &cell, 3, &mut rng)), 3);
        assert_eq!(differing(&cell, &mutated(space, &cell, 99, &mut rng)), 6);
    }

    #[test]
    fn a_child_has_each_value_from_a_parent() {
        let space = CellSpace::darts();
        let space = space.space();
        let mut rng = Streams::new(2).stream("test", TrialIdx(0));
        for _ in 0..100 {
            let (a, b) = (random(space, &mut rng), random(space, &mut rng));
            let child = crossed(space, &a, &b, &mut rng);
            assert!(space.contains(&child));
            assert!(child.0.iter().zip(a.0.iter().zip(&b.0)).all(|(c, (a, b))| c == a || c == b));
        }
    }

    fn wide(domain: Domain) -> Space {
        let parameter = Parameter { name: "n".into(), domain, when: vec![], default: None, prior: None };
        Space::new(vec![parameter], vec![]).unwrap()
    }

    #[test]
    fn a_wide_parameter_has_few_neighbours_and_reaches_all_values() {
        let distribution = Distribution::Uniform;
        let all = Domain::Int { min: i64::MIN, max: i64::MAX, step: 1, distribution };
        let space = wide(all);
        let middle = Assignment(vec![Some(Value::Int(0))]);
        let values: Vec<Value> = steps(&space, &middle).iter().map(|step| step.value).collect();
        assert!(
            values.len() <= 128 && values.contains(&Value::Int(-1)) && values.contains(&Value::Int(1 << 40))
        );
        let space = wide(Domain::Float { min: 0.0, max: 1e6, step: Some(0.5), distribution });
        let low = Assignment(vec![Some(Value::Float(0.0))]);
        let near = steps(&space, &low);
        assert_eq!(near.len(), 21, "2^0 to 2^20 steps of a half");
        assert_eq!(stepped(&space, &low, near[1]).0, [Some(Value::Float(1.0))]);
        assert!(near.iter().all(|step| space.contains(&stepped(&space, &low, *step))));
    }

    /// The value that is changed is found without walking to it.
    #[test]
    fn a_mutation_of_a_wide_parameter_is_drawn_at_once() {
        let domain = Domain::Int {
            min: -4_000_000_000_000,
            max: 4_000_000_000_000,
            step: 1,
            distribution: Distribution::Uniform,
        };
        let space = wide(domain);
        let mut rng = Streams::new(3).stream("test", TrialIdx(0));
        let mut point = random(&space, &mut rng);
        for _ in 0..1000 {
            let child = mutated(&space, &point, 1, &mut rng);
            assert!(space.contains(&child) && child != point);
            point = child;
        }
    }
}
