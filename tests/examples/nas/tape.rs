//! What a network computes, written down as it is computed, so that slopes can be followed back. Values lie batch
//! innermost, see `plan.rs`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::plan::{self, Channels, LANES, Plan};
use crate::weights::{Named, Weights};

/// A value on the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(usize);

/// Rows and columns of a picture, and how many lie behind each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) channels: usize,
    pub(crate) side: usize,
}

impl Shape {
    /// Numbers an image.
    pub(crate) fn len(self) -> usize {
        self.channels * self.side * self.side
    }
}

/// What normalisations do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Normalise by the batch, and keep its statistics.
    Learn,
    /// Normalise by the batch.
    Probe,
    /// Normalise by what has been kept.
    Test,
}

struct Node {
    shape: Shape,
    value: Vec<f32>,
    slope: Vec<f32>,
    step: Step,
}

enum Step {
    Input,
    Convolution {
        from: Id,
        weights: Range<usize>,
        plan: Arc<Plan>,
        channels: Channels,
    },
    Bias {
        from: Id,
        weights: Range<usize>,
    },
    Norm {
        from: Id,
        scales: Vec<f32>,
    },
    Relu {
        from: Id,
    },
    Mean {
        from: Id,
        plan: Arc<Plan>,
    },
    Largest {
        from: Id,
        pixels: Vec<u32>,
    },
    Sum {
        from: Vec<Id>,
    },
    /// Each with the number of its coefficient.
    Mix {
        from: Vec<(Id, usize)>,
    },
    Concat {
        from: Vec<Id>,
    },
}

/// Where sums of squares begin, so that nothing is divided by zero.
const EPSILON: f32 = 1e-5;
/// How much of a batch goes into the statistics that are kept.
const FRESH: f32 = 0.1;

/// Weights, and what is computed with them.
pub(crate) struct Tape {
    pub(crate) weights: Weights,
    /// Means and variances of normalisations.
    pub(crate) statistics: Named,
    /// What the operations of mixes are multiplied with.
    pub(crate) coefficients: Vec<f32>,
    pub(crate) coefficient_slopes: Vec<f32>,
    batch: usize,
    mode: Mode,
    nodes: Vec<Node>,
    plans: BTreeMap<(usize, usize, usize, usize), Arc<Plan>>,
    /// Those that are there, by what they are of.
    relus: BTreeMap<Id, Id>,
    /// Memory of values that are gone, by length.
    spare: BTreeMap<usize, Vec<Vec<f32>>>,
}

impl Tape {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            weights: Weights::new(seed),
            statistics: Named::default(),
            coefficients: Vec::new(),
            coefficient_slopes: Vec::new(),
            batch: LANES,
            mode: Mode::Learn,
            nodes: Vec::new(),
            plans: BTreeMap::new(),
            relus: BTreeMap::new(),
            spare: BTreeMap::new(),
        }
    }

    /// Begins anew with a batch of pictures.
    pub(crate) fn begin(&mut self, mode: Mode, shape: Shape, pictures: Vec<f32>) -> Id {
        while let Some(node) = self.nodes.pop() {
            self.give_back(node);
        }
        self.relus.clear();
        self.mode = mode;
        self.batch = pictures.len() / shape.len();
        self.push(shape, pictures, Step::Input)
    }

    pub(crate) fn shape(&self, id: Id) -> Shape {
        self.nodes[id.0].shape
    }

    fn push(&mut self, shape: Shape, value: Vec<f32>, step: Step) -> Id {
        let slope = if self.mode == Mode::Test { Vec::new() } else { self.filled(value.len(), 0.0) };
        self.nodes.push(Node { shape, value, slope, step });
        Id(self.nodes.len() - 1)
    }

    fn filled(&mut self, n: usize, x: f32) -> Vec<f32> {
        let mut value = self.spare.get_mut(&n).and_then(Vec::pop).unwrap_or_else(|| vec![x; n]);
        value.fill(x);
        value
    }

    fn copied(&mut self, id: Id) -> Vec<f32> {
        let value = &self.nodes[id.0].value;
        let mut copy =
            self.spare.get_mut(&value.len()).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; value.len()]);
        copy.copy_from_slice(value);
        copy
    }

    fn give_back(&mut self, node: Node) {
        for memory in [node.value, node.slope] {
            self.spare.entry(memory.len()).or_default().push(memory);
        }
    }

    fn plan(&mut self, side: usize, kernel: usize, stride: usize, dilation: usize) -> Arc<Plan> {
        let make = || Arc::new(Plan::new(side, kernel, stride, dilation));
        Arc::clone(self.plans.entry((side, kernel, stride, dilation)).or_insert_with(make))
    }

    /// A value that nothing comes from.
    pub(crate) fn zeros(&mut self, shape: Shape) -> Id {
        let value = self.filled(shape.len() * self.batch, 0.0);
        self.push(shape, value, Step::Input)
    }

    /// A convolution without bias: `window` is (kernel, stride, dilation).
    pub(crate) fn convolution(
        &mut self,
        name: &str,
        from: Id,
        n_out: usize,
        groups: usize,
        window: (usize, usize, usize),
    ) -> Id {
        let Shape { channels, side } = self.shape(from);
        let plan = self.plan(side, window.0, window.1, window.2);
        let n_in = channels / groups;
        let weights = self.weights.place(name, &[n_out, n_in, window.0, window.0], n_in * plan.taps);
        let channels = Channels { n_in: channels, n_out, groups };
        let shape = Shape { channels: n_out, side: plan.side };
        let mut value = self.filled(shape.len() * self.batch, 0.0);
        let its = &self.weights.named.values[weights.clone()];
        plan::convolve(&plan, channels, its, &self.nodes[from.0].value, self.batch, &mut value);
        self.push(shape, value, Step::Convolution { from, weights, plan, channels })
    }

    /// Adds one number to each channel.
    pub(crate) fn bias(&mut self, name: &str, from: Id) -> Id {
        let shape = self.shape(from);
        let weights = self.weights.place(name, &[shape.channels], 0);
        let n = shape.side * shape.side * self.batch;
        let mut value = self.copied(from);
        for (channel, bias) in value.chunks_exact_mut(n).zip(&self.weights.named.values[weights.clone()]) {
            channel.iter_mut().for_each(|x| *x += bias);
        }
        self.push(shape, value, Step::Bias { from, weights })
    }

    /// Brings each channel to mean 0 and variance 1 (Ioffe and Szegedy 2015, arXiv:1502.03167, without scale and shift,
    /// so that nothing stays nothing). Takes the value over: nothing else may read `from` hereafter.
    pub(crate) fn norm(&mut self, name: &str, from: Id) -> Id {
        let shape = self.shape(from);
        let kept = self.statistics.place(name, &[2, shape.channels], |i| f32::from(i >= shape.channels));
        let n = shape.side * shape.side * self.batch;
        let mut value = std::mem::take(&mut self.nodes[from.0].value);
        let mut scales = Vec::with_capacity(shape.channels);
        for (c, channel) in value.chunks_exact_mut(n).enumerate() {
            let (at_mean, at_variance) = (kept.start + c, kept.start + shape.channels + c);
            let (mean, variance) = if self.mode == Mode::Test {
                (self.statistics.values[at_mean], self.statistics.values[at_variance])
            } else {
                let mean = sum(channel, |x| x) / n as f32;
                (mean, sum(channel, |x| (x - mean) * (x - mean)) / n as f32)
            };
            if self.mode == Mode::Learn {
                for (at, fresh) in [(at_mean, mean), (at_variance, variance)] {
                    self.statistics.values[at] += FRESH * (fresh - self.statistics.values[at]);
                }
            }
            let scale = 1.0 / (variance + EPSILON).sqrt();
            channel.iter_mut().for_each(|x| *x = (*x - mean) * scale);
            scales.push(scale);
        }
        self.push(shape, value, Step::Norm { from, scales })
    }

    pub(crate) fn relu(&mut self, from: Id) -> Id {
        if let Some(known) = self.relus.get(&from) {
            return *known;
        }
        let mut value = self.copied(from);
        value.iter_mut().for_each(|x| *x = x.max(0.0));
        let id = self.push(self.shape(from), value, Step::Relu { from });
        self.relus.insert(from, id);
        id
    }

    /// The mean over each window, of the pixels that it sees.
    pub(crate) fn mean(&mut self, from: Id, kernel: usize, stride: usize) -> Id {
        let Shape { channels, side } = self.shape(from);
        let plan = self.plan(side, kernel, stride, 1);
        let (batch, shape) = (self.batch, Shape { channels, side: plan.side });
        let mut value = self.filled(shape.len() * batch, 0.0);
        let x = &self.nodes[from.0].value;
        for (place, y) in value.chunks_exact_mut(batch).enumerate() {
            let (channel, seen) = (place / plan.windows.len(), &plan.windows[place % plan.windows.len()]);
            let share = 1.0 / seen.len() as f32;
            for (_, pixel) in seen {
                let x = &x[(channel * plan.from + pixel) * batch..][..batch];
                y.iter_mut().zip(x).for_each(|(y, x)| *y += share * x);
            }
        }
        self.push(shape, value, Step::Mean { from, plan })
    }

    /// The mean over all pixels.
    pub(crate) fn mean_of_all(&mut self, from: Id) -> Id {
        // One window, which stands at the first pixel and is wide enough from there.
        let side = self.shape(from).side;
        self.mean(from, 2 * side - 1, side)
    }

    /// The largest over each window.
    pub(crate) fn largest(&mut self, from: Id, kernel: usize, stride: usize) -> Id {
        let Shape { channels, side } = self.shape(from);
        let plan = self.plan(side, kernel, stride, 1);
        let (batch, shape) = (self.batch, Shape { channels, side: plan.side });
        let mut value = self.filled(shape.len() * batch, f32::NEG_INFINITY);
        let mut pixels = vec![0_u32; value.len()];
        let x = &self.nodes[from.0].value;
        for (place, (y, at)) in value.chunks_exact_mut(batch).zip(pixels.chunks_exact_mut(batch)).enumerate()
        {
            let (channel, seen) = (place / plan.windows.len(), &plan.windows[place % plan.windows.len()]);
            for (_, pixel) in seen {
                let pixel = channel * plan.from + pixel;
                let x = &x[pixel * batch..][..batch];
                for ((y, at), x) in y.iter_mut().zip(at.iter_mut()).zip(x) {
                    if x > y {
                        (*y, *at) = (*x, pixel as u32);
                    }
                }
            }
        }
        self.push(shape, value, Step::Largest { from, pixels })
    }

    /// The sum of values of one shape.
    pub(crate) fn sum(&mut self, from: &[Id]) -> Id {
        let mut value = self.copied(from[0]);
        for other in &from[1..] {
            value.iter_mut().zip(&self.nodes[other.0].value).for_each(|(y, x)| *y += x);
        }
        self.push(self.shape(from[0]), value, Step::Sum { from: from.to_vec() })
    }

    /// The sum of values of one shape, each times a coefficient.
    pub(crate) fn mix(&mut self, from: Vec<(Id, usize)>) -> Id {
        let shape = self.shape(from[0].0);
        let mut value = self.filled(shape.len() * self.batch, 0.0);
        for (id, coefficient) in &from {
            let coefficient = self.coefficients[*coefficient];
            value.iter_mut().zip(&self.nodes[id.0].value).for_each(|(y, x)| *y += coefficient * x);
        }
        self.push(shape, value, Step::Mix { from })
    }

    /// Values side by side.
    pub(crate) fn concat(&mut self, from: &[Id]) -> Id {
        let side = self.shape(from[0]).side;
        let channels = from.iter().map(|id| self.shape(*id).channels).sum();
        let value = from.iter().flat_map(|id| self.nodes[id.0].value.iter().copied()).collect();
        self.push(Shape { channels, side }, value, Step::Concat { from: from.to_vec() })
    }

    /// For each image which class has the largest value.
    pub(crate) fn answers(&self, scores: Id) -> Vec<usize> {
        let scores = &self.nodes[scores.0];
        let at = |class: usize, image: usize| scores.value[class * self.batch + image];
        let best = |image| {
            (0..scores.shape.channels)
                .fold(0, |best, k| if at(k, image) > at(best, image) { k } else { best })
        };
        (0..self.batch).map(best).collect()
    }

    /// The values of the first image.
    pub(crate) fn first(&self, id: Id) -> Vec<f32> {
        self.nodes[id.0].value.iter().step_by(self.batch).copied().collect()
    }

    /// Mean cross-entropy of the classes' values, with the slopes by them where there are to be any.
    pub(crate) fn loss(&mut self, scores: Id, labels: &[usize]) -> f32 {
        let (batch, classes) = (self.batch, self.nodes[scores.0].shape.channels);
        let mode = self.mode;
        let Node { value, slope, .. } = &mut self.nodes[scores.0];
        let mut loss = 0.0;
        for (image, label) in labels.iter().enumerate() {
            let at = |class: usize| class * batch + image;
            let max = (0..classes).map(|k| value[at(k)]).fold(f32::NEG_INFINITY, f32::max);
            let all: f32 = (0..classes).map(|k| (value[at(k)] - max).exp()).sum();
            loss += all.ln() - (value[at(*label)] - max);
            if mode != Mode::Test {
                for k in 0..classes {
                    let chance = (value[at(k)] - max).exp() / all;
                    slope[at(k)] = (chance - f32::from(k == *label)) / labels.len() as f32;
                }
            }
        }
        loss / labels.len() as f32
    }

    /// Follows slopes back to weights and coefficients.
    pub(crate) fn back(&mut self) {
        self.weights.slopes.fill(0.0);
        self.coefficient_slopes.clear();
        self.coefficient_slopes.resize(self.coefficients.len(), 0.0);
        while let Some(node) = self.nodes.pop() {
            self.back_through(&node);
            self.give_back(node);
        }
    }

    fn back_through(&mut self, node: &Node) {
        let (batch, dy) = (self.batch, &node.slope);
        let (weights, nodes) = (&mut self.weights, &mut self.nodes);
        let add = |nodes: &mut Vec<Node>, id: Id, slopes: &[f32], scale: f32| {
            nodes[id.0].slope.iter_mut().zip(slopes).for_each(|(x, y)| *x += scale * y);
        };
        match &node.step {
            Step::Input => {}
            Step::Convolution { from, weights: its, plan, channels } => {
                let Node { value, slope, step, .. } = &mut nodes[from.0];
                let slopes = &mut weights.slopes[its.clone()];
                plan::convolve_slopes(plan, *channels, value, dy, batch, slopes);
                if !matches!(step, Step::Input) {
                    let its = &weights.named.values[its.clone()];
                    plan::convolve_back(plan, *channels, its, dy, batch, slope);
                }
            }
            Step::Bias { from, weights: its } => {
                let n = dy.len() / its.len();
                for (slope, dy) in weights.slopes[its.clone()].iter_mut().zip(dy.chunks_exact(n)) {
                    *slope += sum(dy, |x| x);
                }
                add(nodes, *from, dy, 1.0);
            }
            Step::Norm { from, scales } => {
                let n = dy.len() / scales.len();
                let channels = nodes[from.0].slope.chunks_exact_mut(n);
                let all = channels.zip(dy.chunks_exact(n)).zip(node.value.chunks_exact(n)).zip(scales);
                for (((dx, dy), y), scale) in all {
                    let mean = sum(dy, |x| x) / n as f32;
                    let along = sum_of_products(dy, y) / n as f32;
                    for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
                        *dx += scale * (dy - mean - y * along);
                    }
                }
            }
            Step::Relu { from } => {
                let from = &mut nodes[from.0];
                for ((dx, dy), y) in from.slope.iter_mut().zip(dy).zip(&node.value) {
                    *dx += if *y > 0.0 { *dy } else { 0.0 };
                }
            }
            Step::Mean { from, plan } => {
                let dx = &mut nodes[from.0].slope;
                for (place, dy) in dy.chunks_exact(batch).enumerate() {
                    let (channel, seen) =
                        (place / plan.windows.len(), &plan.windows[place % plan.windows.len()]);
                    let share = 1.0 / seen.len() as f32;
                    for (_, pixel) in seen {
                        let dx = &mut dx[(channel * plan.from + pixel) * batch..][..batch];
                        dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx += share * dy);
                    }
                }
            }
            Step::Largest { from, pixels } => {
                let dx = &mut nodes[from.0].slope;
                for (i, (dy, pixel)) in dy.iter().zip(pixels).enumerate() {
                    dx[*pixel as usize * batch + i % batch] += dy;
                }
            }
            Step::Sum { from } => from.iter().for_each(|id| add(nodes, *id, dy, 1.0)),
            Step::Mix { from } => {
                for (id, coefficient) in from {
                    self.coefficient_slopes[*coefficient] += sum_of_products(dy, &nodes[id.0].value);
                    add(nodes, *id, dy, self.coefficients[*coefficient]);
                }
            }
            Step::Concat { from } => {
                let mut rest = &dy[..];
                for id in from {
                    let (its, others) = rest.split_at(nodes[id.0].slope.len());
                    add(nodes, *id, its, 1.0);
                    rest = others;
                }
            }
        }
    }
}

/// A sum in as many parts as there are lanes: fast, and the same on every machine.
fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for chunk in values.chunks_exact(LANES) {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += of(*x));
    }
    sums.iter().sum()
}

fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        (0..LANES).for_each(|l| sums[l] += a[l] * b[l]);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// A network with every step that there is, on a picture of 2 x 5 x 5.
    fn network(tape: &mut Tape, picture: Id) -> Id {
        let x = tape.convolution("a", picture, 6, 1, (3, 1, 1));
        let x = tape.norm("a", x);
        let y = tape.relu(x);
        let wide = tape.convolution("b", y, 12, 6, (3, 1, 2));
        let wide = tape.convolution("c", wide, 6, 1, (1, 1, 1));
        let wide = tape.norm("c", wide);
        let mean = tape.mean(x, 3, 1);
        let mixed = tape.mix(vec![(wide, 0), (mean, 1)]);
        let sum = tape.sum(&[mixed, x]);
        let large = tape.largest(sum, 2, 2);
        let small = tape.convolution("d", sum, 3, 1, (3, 2, 1));
        let both = tape.concat(&[large, small]);
        let all = tape.mean_of_all(both);
        let values = tape.convolution("e", all, 4, 1, (1, 1, 1));
        tape.bias("e.bias", values)
    }

    fn loss(tape: &mut Tape, pictures: &[f32], labels: &[usize]) -> f32 {
        let picture = tape.begin(Mode::Probe, Shape { channels: 2, side: 5 }, pictures.to_vec());
        let values = network(tape, picture);
        tape.loss(values, labels)
    }

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let mut random = Random::new(3);
        let pictures: Vec<f32> = (0..50 * LANES).map(|_| random.normal()).collect();
        let labels: Vec<usize> = (0..LANES).map(|_| random.below(4)).collect();
        let mut tape = Tape::new(1);
        tape.coefficients = vec![0.7, 0.4];
        loss(&mut tape, &pictures, &labels);
        tape.back();
        let (slopes, by_coefficients) = (tape.weights.slopes.clone(), tape.coefficient_slopes.clone());
        assert!(slopes.len() > 200);
        // Halfway between what single precision and curvature allow; kinks of ReLU and of the largest make a few differ.
        let reach = 2e-3;
        let mut wrong = 0;
        for (i, slope) in slopes.iter().enumerate() {
            let known = tape.weights.named.values[i];
            let mut at = |x: f32| {
                tape.weights.named.values[i] = x;
                loss(&mut tape, &pictures, &labels)
            };
            let difference = (at(known + reach) - at(known - reach)) / (2.0 * reach);
            at(known);
            wrong += usize::from((slope - difference).abs() > 2e-3 + 0.03 * slope.abs());
        }
        assert!(wrong * 20 <= slopes.len(), "{wrong} of {}", slopes.len());
        for (i, slope) in by_coefficients.iter().enumerate() {
            let known = tape.coefficients[i];
            let mut at = |x: f32| {
                tape.coefficients[i] = x;
                loss(&mut tape, &pictures, &labels)
            };
            let difference = (at(known + reach) - at(known - reach)) / (2.0 * reach);
            at(known);
            assert!((slope - difference).abs() < 2e-3 + 0.03 * slope.abs(), "{slope} and {difference}");
        }
    }

    #[test]
    fn nothing_stays_nothing_through_a_normalisation() {
        let mut tape = Tape::new(1);
        let zeros = tape.begin(Mode::Learn, Shape { channels: 1, side: 2 }, vec![0.0; 4 * LANES]);
        let x = tape.convolution("a", zeros, 3, 1, (3, 1, 1));
        let x = tape.norm("a", x);
        assert!(tape.nodes[x.0].value.iter().all(|x| *x == 0.0));
    }
}
