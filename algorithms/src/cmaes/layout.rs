//! Which parameters the normal distribution searches and which the distribution of names, and how their points become
//! assignments and come back.

use study::{Assignment, Domain, Space, Value};

use super::axis::Axis;

/// Places that differ by less are the same.
const SAME: f64 = 1e-9;
/// What rounding a noted place may change of its fold.
const ROUNDED: f64 = 1e-4;

/// The parameters of a space, as the distributions see them.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Those with an order.
    pub(super) axes: Vec<Axis>,
    /// Positions of those without.
    named: Vec<usize>,
    space: Space,
}

/// A point of both distributions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// A place on the line of each axis.
    pub(super) v: Vec<f64>,
    /// A name of each parameter without an order; `None` if it is not active.
    pub(super) names: Vec<Option<usize>>,
}

impl Layout {
    /// The layout of a space. Parameters of one value are left out, as long as there are others.
    pub(super) fn new(space: &Space) -> Self {
        let is_named = |domain: &Domain| matches!(domain, Domain::Categorical { ordered: false, .. });
        let parameters = || space.parameters().iter().map(|parameter| &parameter.domain).enumerate();
        let ordered = || parameters().filter(|(_, domain)| !is_named(domain));
        let varying = ordered().filter(|(_, domain)| domain.cardinality() != Some(1));
        let mut axes: Vec<Axis> = varying.map(|(i, domain)| Axis::new(i, domain)).collect();
        if axes.is_empty() {
            axes = ordered().map(|(i, domain)| Axis::new(i, domain)).collect();
        }
        let named = parameters().filter(|(_, domain)| is_named(domain)).map(|(i, _)| i).collect();
        Self { axes, named, space: space.clone() }
    }

    /// How many names each parameter without an order has.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let domains = self.named.iter().map(|&i| &self.space.parameters()[i].domain);
        domains.map(|domain| domain.cardinality().unwrap_or(1) as usize).collect()
    }

    /// How many dimensions of both kinds there are.
    pub(super) fn dims(&self) -> usize {
        self.axes.len() + self.named.len()
    }

    /// How many parameters are no continuum.
    pub(super) fn n_discrete(&self) -> usize {
        self.dims() - self.axes.iter().filter(|axis| axis.is_continuous()).count()
    }

    /// Where the search begins: at the defaults, and in the middle where there are none.
    pub(super) fn start(&self) -> Vec<f64> {
        let default = |axis: &Axis| self.space.parameters()[axis.parameter].default;
        self.axes.iter().map(|axis| default(axis).map_or(0.5, |value| axis.place(value))).collect()
    }

    /// Whether places on the line lie in the ranges of continuous parameters.
    pub(super) fn is_within(&self, v: &[f64]) -> bool {
        self.axes.iter().zip(v).all(|(axis, v)| !axis.is_continuous() || (0.0..=1.0).contains(v))
    }

    /// The assignment of a point; inactive parameters are left out.
    pub(super) fn assignment(&self, v: &[f64], names: &[usize]) -> Assignment {
        let first = self.space.parameters().iter().map(|parameter| Some(parameter.domain.nth(0)));
        let mut values: Vec<Option<Value>> = first.collect();
        for (axis, v) in self.axes.iter().zip(v) {
            values[axis.parameter] = Some(axis.value(*v));
        }
        for (&i, name) in self.named.iter().zip(names) {
            values[i] = Some(Value::Choice(*name));
        }
        self.space.deactivate(Assignment(values))
    }

    /// What the assignment of a point does not say (beyond which bound of a continuum, or where an inactive parameter would
    /// be): `axis:place`, separated by blanks.
    pub(super) fn note(&self, assignment: &Assignment, v: &[f64]) -> String {
        let told = self.axes.iter().zip(v).enumerate().filter_map(|(j, (axis, v))| {
            let place = assignment.get(axis.parameter).map(|value| axis.place(value));
            let is_told = |place: f64| !axis.is_continuous() || (place - v).abs() <= SAME;
            (!place.is_some_and(is_told)).then(|| format!("{j}:{v:.9}"))
        });
        told.collect::<Vec<String>>().join(" ")
    }

    /// The point of an assignment. What neither it nor its note says is put at `mean`; a note that contradicts it is not
    /// heeded.
    pub(super) fn point(&self, assignment: &Assignment, note: &str, mean: &[f64]) -> Point {
        let mut v: Vec<f64> = self
            .axes
            .iter()
            .zip(mean)
            .map(|(axis, mean)| assignment.get(axis.parameter).map_or(*mean, |value| axis.place(value)))
            .collect();
        for (j, place) in note.split(' ').filter_map(read) {
            let Some(axis) = self.axes.get(j) else { continue };
            if assignment.get(axis.parameter).is_none_or(|value| is_alike(axis, value, place)) {
                v[j] = place;
            }
        }
        let name = |i: &usize| match assignment.get(*i) {
            Some(Value::Choice(name)) => Some(name),
            _ => None,
        };
        Point { v, names: self.named.iter().map(name).collect() }
    }
}

/// A finite place of a note.
fn read(text: &str) -> Option<(usize, f64)> {
    let (axis, place) = text.split_once(':')?;
    Some((axis.parse().ok()?, place.parse().ok().filter(|place: &f64| place.is_finite())?))
}

/// Whether a place of a continuum has this value, but for what rounding may do to it.
fn is_alike(axis: &Axis, value: Value, place: f64) -> bool {
    axis.is_continuous() && (axis.place(axis.value(place)) - axis.place(value)).abs() < ROUNDED
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;
    use study::TrialIdx;

    use super::*;
    use crate::rng::Streams;
    use crate::testing;

    #[test]
    fn points_come_back_from_assignments_and_notes() {
        let mut rng = Streams::new(4).stream("test", TrialIdx(0));
        for space in testing::spaces() {
            let layout = Layout::new(&space);
            for _ in 0..200 {
                let v: Vec<f64> = layout.axes.iter().map(|_| 3.0 * rng.random::<f64>() - 1.0).collect();
                let names: Vec<usize> = layout.sizes().iter().map(|n| rng.random_range(0..*n)).collect();
                let assignment = layout.assignment(&v, &names);
                assert!(space.contains(&assignment) || !space.is_feasible(&assignment));
                let point = layout.point(&assignment, &layout.note(&assignment, &v), &vec![9.0; v.len()]);
                for ((axis, a), b) in layout.axes.iter().zip(&point.v).zip(&v) {
                    let is_active = assignment.get(axis.parameter).is_some();
                    let near = axis.is_continuous() || !is_active;
                    assert!(
                        near && (a - b).abs() < 1e-8 || !near && axis.value(*a) == axis.value(*b),
                        "{a} {b}"
                    );
                }
                for (name, drawn) in point.names.iter().zip(&names) {
                    assert!(name.is_none_or(|name| name == *drawn));
                }
            }
        }
    }

    #[test]
    fn a_note_that_contradicts_the_assignment_is_not_heeded() {
        let layout = Layout::new(&testing::numeric());
        let assignment = layout.assignment(&[0.5; 5], &[]);
        let plain = layout.point(&assignment, "", &[0.0; 5]);
        for note in ["2:0.9", "0:0.3", "7:1", "0:NaN", "0:inf", "x", "::"] {
            assert_eq!(layout.point(&assignment, note, &[0.0; 5]), plain, "{note}");
        }
    }
}
