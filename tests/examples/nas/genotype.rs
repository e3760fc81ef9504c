//! Cells as DARTS finds them, the way Katib writes them, and the network that is stacked of them (Liu et al. 2019,
//! arXiv:1806.09055).

use std::fmt::Write as _;

use crate::chain::json;
use crate::digits::CLASSES;
use crate::operation::{self, Operation};
use crate::tape::{Id, Shape, Tape};

/// Sizes of a network of cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    /// Nodes of a cell beside its two inputs.
    pub(crate) nodes: usize,
    pub(crate) channels: usize,
    /// Channels of the stem, as a multiple.
    pub(crate) stem: usize,
}

/// What a picture is to be.
pub(crate) const INPUT: Shape = Shape { channels: 1, side: 8 };

/// Which of the two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    /// Halves the picture and doubles the channels.
    Reduce,
}

/// An edge of a cell: it leads from an input (0 and 1) or an earlier node to a node, from 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) kind: Kind,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl std::fmt::Display for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.kind == Kind::Normal { "normal" } else { "reduce" };
        write!(f, "{kind} {}-{}", self.from, self.to)
    }
}

/// For each node of both cells its edges: an operation and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Genotype {
    pub(crate) normal: Vec<Vec<(String, usize)>>,
    pub(crate) reduce: Vec<Vec<(String, usize)>>,
}

impl Genotype {
    /// The genotype of a text as Katib's metric has it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let spare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let wrong = || {
            format!(
                "`{text}` is no genotype; write it as Genotype(normal=[[('skip_connection',0),..],..],\
                 normal_concat=range(2,N),reduce=[..],reduce_concat=range(2,N))"
            )
        };
        let part = |name: &str| {
            let (_, rest) = spare.split_once(&format!("{name}="))?;
            let (list, _) = rest.split_once(&format!(",{name}_concat="))?;
            let list = json(name, &list.replace('(', "[").replace(')', "]")).ok()?;
            serde_json::from_value::<Vec<Vec<(String, usize)>>>(list).ok()
        };
        let (normal, reduce) = (part("normal").ok_or_else(wrong)?, part("reduce").ok_or_else(wrong)?);
        if normal.is_empty() || normal.len() != reduce.len() {
            return Err(wrong());
        }
        for (to, edges) in normal.iter().enumerate().chain(reduce.iter().enumerate()) {
            for (name, from) in edges {
                Operation::parse(name)?;
                if *from >= to + 2 {
                    return Err(format!("`{text}` has a node that reads {from}, which is not before it"));
                }
            }
        }
        Ok(Self { normal, reduce })
    }

    /// The classes' values of the network with these cells.
    pub(crate) fn network(&self, sizes: Sizes, tape: &mut Tape, picture: Id) -> Id {
        network(sizes, tape, picture, |tape, name, x, edge, stride| {
            let cell = if edge.kind == Kind::Normal { &self.normal } else { &self.reduce };
            let its = cell[edge.to - 2].iter().enumerate().filter(|(_, (_, from))| *from == edge.from);
            let its: Vec<Id> = its
                .filter_map(|(i, (operation, _))| {
                    Operation::parse(operation).ok()?.on(tape, &format!("{name}.{i}"), x, stride)
                })
                .collect();
            if its.is_empty() { None } else { Some(tape.sum(&its)) }
        })
    }
}

impl std::fmt::Display for Genotype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |cell: &[Vec<(String, usize)>]| {
            let mut text = String::new();
            for (i, node) in cell.iter().enumerate() {
                let edges = node.iter().map(|(name, from)| format!("('{name}',{from})"));
                let comma = if i == 0 { "" } else { "," };
                write!(text, "{comma}[{}]", edges.collect::<Vec<_>>().join(",")).expect("a string takes all");
            }
            text
        };
        let (normal, reduce, end) = (list(&self.normal), list(&self.reduce), self.normal.len() + 2);
        write!(
            f,
            "Genotype(normal=[{normal}],normal_concat=range(2,{end}),reduce=[{reduce}],reduce_concat=range(2,{end}))"
        )
    }
}

/// Stem, cells of which two of three halve the picture, classes. An edge gets its name, what comes in and its stride, and
/// gives what comes through.
pub(crate) fn network(
    sizes: Sizes,
    tape: &mut Tape,
    picture: Id,
    mut through: impl FnMut(&mut Tape, &str, Id, Edge, usize) -> Option<Id>,
) -> Id {
    let x = tape.convolution("stem", picture, sizes.channels * sizes.stem, 1, (3, 1, 1));
    let x = tape.norm("stem", x);
    let (mut before, mut x) = (x, x);
    let mut channels = sizes.channels;
    for layer in 0..sizes.layers {
        let kind = if [sizes.layers / 3, 2 * sizes.layers / 3].contains(&layer) {
            Kind::Reduce
        } else {
            Kind::Normal
        };
        if kind == Kind::Reduce {
            channels *= 2;
        }
        let name = format!("layer{}", layer + 1);
        // The one before the last may be larger, where the last has halved it.
        let stride = tape.shape(before).side.div_ceil(tape.shape(x).side);
        let first = operation::convolution(tape, &format!("{name}.in0"), before, channels, (1, stride, 1));
        let second = operation::convolution(tape, &format!("{name}.in1"), x, channels, (1, 1, 1));
        let mut values = vec![first, second];
        for to in 2..sizes.nodes + 2 {
            let mut terms = Vec::new();
            for (from, value) in values.iter().enumerate() {
                let stride = if kind == Kind::Reduce && from < 2 { 2 } else { 1 };
                let name = format!("{name}.{from}-{to}");
                terms.extend(through(tape, &name, *value, Edge { kind, from, to }, stride));
            }
            let value = if terms.is_empty() {
                let Shape { channels, side } = tape.shape(first);
                let halves = if kind == Kind::Reduce { 2 } else { 1 };
                tape.zeros(Shape { channels, side: side.div_ceil(halves) })
            } else {
                tape.sum(&terms)
            };
            values.push(value);
        }
        (before, x) = (x, tape.concat(&values[2..]));
    }
    operation::classes(tape, x, CLASSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genotype_is_written_as_katib_writes_it_and_reads_back() {
        let text = "Genotype(normal=[[('skip_connection',0),('max_pooling_3x3',1)]],normal_concat=range(2,3),\
                    reduce=[[('separable_convolution_5x5',1),('skip_connection',0)]],reduce_concat=range(2,3))";
        let genotype = Genotype::parse(text).unwrap();
        assert_eq!(genotype.to_string(), text);
        assert_eq!(Genotype::parse(&text.replace(',', ", ")).unwrap(), genotype);
        for (wrong, said) in [
            (
                "Genotype(normal=[],normal_concat=range(2,2),reduce=[],reduce_concat=range(2,2))",
                "no genotype",
            ),
            (&text.replace("skip_connection", "jump"), "`jump` is no operation"),
            (&text.replace("'skip_connection',0", "'skip_connection',2"), "reads 2, which is not before it"),
        ] {
            assert!(Genotype::parse(wrong).unwrap_err().contains(said), "{wrong}");
        }
    }
}
