//! Steps from one architecture to others, as points of a space of finitely many values.

use rand::RngExt as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, Space, Value};

/// Every architecture that differs in one value, in the order of the space. What a change brings into being begins with its
/// first value.
pub fn neighbours(space: &Space, architecture: &Assignment) -> Vec<Assignment> {
    let mut found = Vec::new();
    for (i, parameter) in space.parameters().iter().enumerate() {
        let Some(value) = architecture.get(i) else { continue };
        let values = (0..parameter.domain.cardinality().unwrap_or(0)).map(|k| parameter.domain.nth(k));
        for other in values.filter(|other| *other != value) {
            let mut changed = architecture.clone();
            changed.0[i] = Some(other);
            found.push(completed(space, changed, |i| space.parameters()[i].domain.nth(0)));
        }
    }
    found
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
        let value = domain.nth(k);
        let passed = (0..=k).any(|k| Some(domain.nth(k)) == architecture.get(i));
        changed.0[i] = Some(if passed { domain.nth(k + 1) } else { value });
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
    use study::TrialIdx;

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
        assert_eq!(seen.len(), neighbours(space, &cell).len());
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
}
