//! All architectures of a space in one network: each edge is a mix of all operations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cell::{self, EDGES};
use crate::genotype::{self, Edge, Genotype, Kind, Sizes};
use crate::operation::{NAS_BENCH_201, Operation};
use crate::random::Random;
use crate::tape::{Id, Tape};

/// A space of cells, and how they are stacked.
#[derive(Clone, Debug)]
pub(crate) struct Supernet {
    space: Space,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
enum Space {
    /// Cells of DARTS: a normal and a reducing one, of whose edges each node keeps two.
    Pairs { sizes: Sizes, names: Vec<String>, edges: Vec<Edge> },
    /// Cells of NAS-Bench-201: every edge is there.
    Complete { names: Vec<String> },
}

/// How numbers become what operations are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Operations of an edge compete for a sum of 1 (Liu et al. 2019, arXiv:1806.09055, eq. 2).
    Darts,
    /// Each for itself, from 0 to 1 (Chu et al. 2020, arXiv:1911.12126, eq. 2).
    Fair,
    /// One at a time, drawn (Dong and Yang 2019, arXiv:1910.04465, eq. 4).
    Sampled,
}

/// What operations are multiplied with in one step, and what slopes are followed back through.
pub(crate) struct Draw {
    pub(crate) coefficients: Vec<f32>,
    soft: Vec<f32>,
    temperature: f32,
    variant: Variant,
}

impl Supernet {
    /// The supernet of Katib's search space; `none` joins it, as the last.
    pub(crate) fn pairs(mut names: Vec<String>, sizes: Sizes) -> Result<Self, String> {
        if names.is_empty() || names.iter().any(|name| name == "none") {
            return Err("--search-space is a list of operations without none, which is there anyway".into());
        }
        names.push("none".into());
        let operations = names.iter().map(|name| Operation::parse(name)).collect::<Result<_, _>>()?;
        let both = [Kind::Normal, Kind::Reduce].into_iter();
        let edges = both.flat_map(|kind| {
            (2..sizes.nodes + 2).flat_map(move |to| (0..to).map(move |from| Edge { kind, from, to }))
        });
        Ok(Self { space: Space::Pairs { sizes, names, edges: edges.collect() }, operations })
    }

    /// The supernet of NAS-Bench-201's space, or of some of its operations.
    pub(crate) fn complete(names: Vec<String>) -> Result<Self, String> {
        if names.is_empty() || names.iter().any(|name| !NAS_BENCH_201.contains(&name.as_str())) {
            return Err(format!("--search-space is a list of some of {}", NAS_BENCH_201.join(", ")));
        }
        let operations = names.iter().map(|name| Operation::parse(name)).collect::<Result<_, _>>()?;
        Ok(Self { space: Space::Complete { names }, operations })
    }

    pub(crate) fn n_edges(&self) -> usize {
        match &self.space {
            Space::Pairs { edges, .. } => edges.len(),
            Space::Complete { .. } => EDGES,
        }
    }

    pub(crate) fn n_operations(&self) -> usize {
        self.operations.len()
    }

    /// Operations that an edge may end with: in DARTS nothing is none of them.
    pub(crate) fn candidates(&self) -> usize {
        match self.space {
            Space::Pairs { .. } => self.operations.len() - 1,
            Space::Complete { .. } => self.operations.len(),
        }
    }

    /// Whether nodes keep some of their edges alone.
    pub(crate) fn has_rivals(&self) -> bool {
        matches!(self.space, Space::Pairs { .. })
    }

    /// The classes' values, with the coefficients that are on the tape. What is multiplied with 0 is not computed.
    pub(crate) fn network(&self, tape: &mut Tape, picture: Id) -> Id {
        match &self.space {
            Space::Pairs { sizes, edges, .. } => {
                genotype::network(*sizes, tape, picture, |tape, name, x, edge, stride| {
                    let number = edges.iter().position(|known| *known == edge)?;
                    self.mixed(tape, name, x, number, stride)
                })
            }
            Space::Complete { .. } => {
                cell::network(tape, picture, |tape, name, x, edge| self.mixed(tape, name, x, edge, 1))
            }
        }
    }

    fn mixed(&self, tape: &mut Tape, name: &str, x: Id, edge: usize, stride: usize) -> Option<Id> {
        let mut terms = Vec::new();
        for (k, operation) in self.operations.iter().enumerate() {
            let coefficient = edge * self.operations.len() + k;
            if tape.coefficients[coefficient] != 0.0 {
                let y = operation.on(tape, &format!("{name}.{k}"), x, stride);
                terms.extend(y.map(|y| (y, coefficient)));
            }
        }
        if terms.is_empty() { None } else { Some(tape.mix(terms)) }
    }

    /// Coefficients of these numbers.
    pub(crate) fn draw(
        &self,
        alphas: &[f32],
        variant: Variant,
        temperature: f32,
        random: &mut Random,
    ) -> Draw {
        let n = self.operations.len();
        let temperature = if variant == Variant::Sampled { temperature } else { 1.0 };
        let mut soft = Vec::with_capacity(alphas.len());
        for edge in alphas.chunks_exact(n) {
            match variant {
                Variant::Darts => soft.extend(softmax(edge)),
                Variant::Fair => soft.extend(edge.iter().map(|x| 1.0 / (1.0 + (-x).exp()))),
                Variant::Sampled => {
                    let moved = edge.iter().map(|x| (x - (-random.uniform().ln()).ln()) / temperature);
                    soft.extend(softmax(&moved.collect::<Vec<_>>()));
                }
            }
        }
        let mut coefficients = soft.clone();
        if variant == Variant::Sampled {
            for edge in coefficients.chunks_exact_mut(n) {
                let drawn = largest(edge, n);
                edge.iter_mut().enumerate().for_each(|(k, x)| *x = f32::from(k == drawn));
            }
        }
        Draw { coefficients, soft, temperature, variant }
    }

    /// What each operation weighs on each edge, as a metric reports it.
    pub(crate) fn weighed(&self, strengths: &[f32]) -> Value {
        let (operations, edges): (&[String], Vec<String>) = match &self.space {
            Space::Complete { names } => {
                (names, cell::edges().map(|(from, to)| format!("{from}-{to}")).collect())
            }
            Space::Pairs { names, edges, .. } => (names, edges.iter().map(Edge::to_string).collect()),
        };
        let rounded = |x: &f32| (f64::from(*x) * 1e4).round() / 1e4;
        let weights = strengths.chunks_exact(operations.len()).map(|its| its.iter().map(rounded).collect());
        let edges: BTreeMap<String, Vec<f64>> = edges.into_iter().zip(weights).collect();
        json!({"operations": operations, "edges": edges})
    }

    /// What these strengths of operations end as, as the text of a metric's name and value.
    pub(crate) fn found(&self, strengths: &[f32]) -> Found {
        let n = self.operations.len();
        let best = |edge: usize| largest(&strengths[edge * n..][..n], self.candidates());
        match &self.space {
            Space::Complete { names } => {
                Found::Cell(cell::text(std::array::from_fn(|edge| names[best(edge)].as_str())))
            }
            Space::Pairs { sizes, names, edges } => {
                let cell = |kind: Kind| {
                    let node = |to: usize| {
                        let its = (0..edges.len()).filter(|i| edges[*i].kind == kind && edges[*i].to == to);
                        let mut its: Vec<usize> = its.collect();
                        // The two of the strongest; of like ones the earlier.
                        its.sort_by(|a, b| {
                            let strength = |edge: usize| strengths[edge * n + best(edge)];
                            strength(*b).total_cmp(&strength(*a))
                        });
                        let kept = its.iter().take(2);
                        kept.map(|edge| (names[best(*edge)].clone(), edges[*edge].from)).collect()
                    };
                    (2..sizes.nodes + 2).map(node).collect()
                };
                Found::Genotype(*sizes, Genotype { normal: cell(Kind::Normal), reduce: cell(Kind::Reduce) })
            }
        }
    }
}

/// What a search has found.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Genotype(Sizes, Genotype),
    Cell(String),
}

impl Draw {
    /// Slopes by the numbers, of those by the coefficients.
    pub(crate) fn back(&self, slopes: &[f32], n_operations: usize) -> Vec<f32> {
        if self.variant == Variant::Fair {
            return self.soft.iter().zip(slopes).map(|(s, slope)| slope * s * (1.0 - s)).collect();
        }
        let edges = self.soft.chunks_exact(n_operations).zip(slopes.chunks_exact(n_operations));
        let of_edge = |(soft, slopes): (&[f32], &[f32])| {
            let mean: f32 = soft.iter().zip(slopes).map(|(s, slope)| s * slope).sum();
            soft.iter()
                .zip(slopes)
                .map(|(s, slope)| s * (slope - mean) / self.temperature)
                .collect::<Vec<_>>()
        };
        edges.flat_map(of_edge).collect()
    }
}

/// Shares of 1 by the exponentials.
pub(crate) fn softmax(values: &[f32]) -> Vec<f32> {
    let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = values.iter().map(|x| (x - max).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.iter().map(|x| x / sum).collect()
}

/// Number of the largest of the first `n`; of like ones the first.
fn largest(values: &[f32], n: usize) -> usize {
    (0..n).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}
