//! Finding the point that promises most: many candidates, and climbs from the best of them that alternate gradient steps
//! along numbers with sweeps over the values of everything else.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, Domain};

use super::ascent::{Surface, ascend};
use super::kernel::{Measure, Point, point};
use crate::encode::{Encoder, encode_value};

/// Most values of a number that are swept over wholly; of more, the neighbours.
const MAX_LEVELS: u64 = 24;
/// Most names that are swept over wholly; of more, as many by chance.
const MAX_NAMES: usize = 48;
/// Candidates that are looked at closely: the best of each view, to each of which a share of all is shown.
const CLOSE: usize = 40;
/// Of these, how many are climbed from.
const CLIMBS: usize = 5;
/// Rounds of gradient steps and sweeps.
const ROUNDS: usize = 4;
/// Gradient steps of a round.
const STEPS: usize = 25;
/// Difference along a number, as a share of its range, below which values count as the same: where costs have steps, a
/// model without noise would otherwise go on for ever around the best.
const SAME: f64 = 0.003;
/// A round that gains less is the last.
const LEAST_GAIN: f64 = 1e-4;

/// How a coordinate is moved.
#[derive(Clone, Debug)]
enum Axis {
    /// Along the gradient.
    Smooth,
    /// Along the gradient as if there were values between, then to a neighbour.
    Fine { n: u64 },
    /// To any other of these.
    Levels(Vec<f64>),
}

/// What is maximised over points.
pub(super) trait Landscape {
    /// How many quick views of it there are.
    fn views(&self) -> usize;
    /// Value at a point in one of the views.
    fn glance(&self, view: usize, x: &Point) -> f64;
    /// Value at a point.
    fn value(&self, x: &Point) -> f64;
    /// Value and slopes along some axes.
    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>);
}

/// A point under consideration.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) value: f64,
    pub(super) assignment: Assignment,
    /// Coordinates of all parameters, inactive ones too.
    x: Vec<f64>,
    pub(super) point: Point,
}

/// The axes of a space.
#[derive(Clone, Debug)]
pub(super) struct Axes(Vec<Axis>);

impl Axes {
    pub(super) fn new(encoder: &Encoder, measures: &[Measure]) -> Self {
        let of = |(domain, measure): (&Domain, &Measure)| match domain.cardinality() {
            None => Axis::Smooth,
            Some(n) if *measure == Measure::Distance && n > MAX_LEVELS => Axis::Fine { n },
            Some(n) => Axis::Levels((0..n).map(|k| encode_value(domain, domain.nth(k))).collect()),
        };
        let domains = encoder.space().parameters().iter().map(|parameter| &parameter.domain);
        Self(domains.zip(measures).map(of).collect())
    }

    /// Whether two points are as good as the same.
    pub(super) fn alike(&self, a: &Point, b: &Point) -> bool {
        let along = |(axis, (a, b)): (&Axis, (&f64, &f64))| match axis {
            _ if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
            Axis::Levels(_) => (a - b).abs() < 1e-12,
            Axis::Smooth | Axis::Fine { .. } => (a - b).abs() < SAME,
        };
        self.0.iter().zip(a.iter().zip(b)).all(along)
    }

    /// Whether a coordinate has levels of its own.
    pub(super) fn levels(&self, axis: usize) -> Option<&[f64]> {
        match &self.0[axis] {
            Axis::Levels(levels) => Some(levels),
            _ => None,
        }
    }
}

/// A search over one landscape.
pub(super) struct Search<'a, L> {
    pub(super) encoder: &'a Encoder,
    pub(super) axes: &'a Axes,
    pub(super) landscape: &'a L,
}

/// The landscape along some axes of one point.
struct Section<'a, L> {
    landscape: &'a L,
    from: &'a Point,
    axes: &'a [usize],
}

impl<L: Landscape> Surface for Section<'_, L> {
    fn at(&self, along: &[f64]) -> (f64, Vec<f64>) {
        let mut x = self.from.clone();
        self.axes.iter().zip(along).for_each(|(axis, value)| x[*axis] = *value);
        self.landscape.slopes(&x, self.axes)
    }
}

impl<L: Landscape> Search<'_, L> {
    /// The new point that promises most, among candidates and what was found by climbing from the best of them; `None`
    /// if no candidate is new.
    pub(super) fn run(
        &self,
        candidates: Vec<Vec<f64>>,
        is_new: &dyn Fn(&Point) -> bool,
        rng: &mut ChaCha8Rng,
    ) -> Option<Candidate> {
        let views = self.landscape.views();
        let mut shares = vec![Vec::new(); views];
        for (i, x) in candidates.into_iter().enumerate() {
            let view = i % views;
            shares[view].extend(self.candidate(x, &|point| self.landscape.glance(view, point)));
        }
        let mut close: Vec<Candidate> = Vec::new();
        for mut share in shares {
            sort(&mut share);
            share.dedup_by(|a, b| a.point == b.point);
            close.extend(share.into_iter().filter(|seen| is_new(&seen.point)).take(CLOSE.div_ceil(views)));
        }
        close.iter_mut().for_each(|candidate| candidate.value = self.landscape.value(&candidate.point));
        sort(&mut close);
        let climbs = close.iter().take(CLIMBS).map(|candidate| self.climb(candidate.clone(), rng));
        let climbed: Vec<Candidate> = climbs.filter(|candidate| is_new(&candidate.point)).collect();
        close.extend(climbed);
        sort(&mut close);
        close.into_iter().next()
    }

    /// The candidate at a place, if it meets the constraints.
    fn candidate(&self, mut x: Vec<f64>, value: &dyn Fn(&Point) -> f64) -> Option<Candidate> {
        let space = self.encoder.space();
        let assignment = self.encoder.decode(&x);
        if !space.is_feasible(&assignment) {
            return None;
        }
        let point = point(space, &assignment);
        x.iter_mut().zip(&point).filter(|(_, p)| !p.is_nan()).for_each(|(x, p)| *x = *p);
        Some(Candidate { value: value(&point), assignment, x, point })
    }

    fn climb(&self, mut from: Candidate, rng: &mut ChaCha8Rng) -> Candidate {
        for _ in 0..ROUNDS {
            let before = from.value;
            self.follow_gradient(&mut from);
            self.sweep(&mut from, rng);
            if from.value - before < LEAST_GAIN {
                break;
            }
        }
        from
    }

    fn follow_gradient(&self, from: &mut Candidate) {
        let moves =
            |axis: &usize| !matches!(self.axes.0[*axis], Axis::Levels(_)) && !from.point[*axis].is_nan();
        let axes: Vec<usize> = (0..from.point.len()).filter(moves).collect();
        if axes.is_empty() {
            return;
        }
        let start: Vec<f64> = axes.iter().map(|axis| from.point[*axis]).collect();
        let section = Section { landscape: self.landscape, from: &from.point, axes: &axes };
        let (_, end) = ascend(&section, &start, STEPS, LEAST_GAIN / 10.0);
        let mut x = from.x.clone();
        axes.iter().zip(end).for_each(|(axis, value)| x[*axis] = value);
        self.go(from, x);
    }

    /// Tries other values of one coordinate after the other.
    fn sweep(&self, from: &mut Candidate, rng: &mut ChaCha8Rng) {
        for axis in 0..from.x.len() {
            match &self.axes.0[axis] {
                Axis::Smooth => {}
                Axis::Fine { n } => self.step(from, axis, 1.0 / *n as f64),
                Axis::Levels(_) if from.point[axis].is_nan() => {}
                Axis::Levels(levels) if levels.len() <= MAX_NAMES => {
                    levels.iter().for_each(|level| self.try_at(from, axis, *level));
                }
                Axis::Levels(levels) => {
                    for _ in 0..MAX_NAMES {
                        self.try_at(from, axis, levels[rng.random_range(0..levels.len())]);
                    }
                }
            }
        }
    }

    /// To neighbours along a fine axis, for as long as that promises more.
    fn step(&self, from: &mut Candidate, axis: usize, width: f64) {
        if from.point[axis].is_nan() {
            return;
        }
        for step in [width, -width, 2.0 * width, -2.0 * width] {
            let before = from.value;
            self.try_at(from, axis, (from.x[axis] + step).clamp(0.0, 1.0));
            if from.value > before {
                self.try_at(from, axis, (from.x[axis] + step).clamp(0.0, 1.0));
            }
        }
    }

    fn try_at(&self, from: &mut Candidate, axis: usize, level: f64) {
        if (from.x[axis] - level).abs() > 1e-12 {
            let mut x = from.x.clone();
            x[axis] = level;
            self.go(from, x);
        }
    }

    /// Goes to a place if it promises more.
    fn go(&self, from: &mut Candidate, x: Vec<f64>) {
        if let Some(next) = self.candidate(x, &|point| self.landscape.value(point))
            && next.value > from.value
        {
            *from = next;
        }
    }
}

fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.value.total_cmp(&a.value));
}
