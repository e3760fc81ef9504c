//! Cells of NAS-Bench-201, and the small network that is stacked of them (Dong and Yang 2020, arXiv:2001.00326).

use std::collections::BTreeMap;

use crate::digits::CLASSES;
use crate::operation::{self, NAS_BENCH_201, Operation};
use crate::tape::{Id, Tape};

/// Nodes of a cell, the input among them.
const NODES: usize = 4;
/// Edges of a cell.
pub(crate) const EDGES: usize = NODES * (NODES - 1) / 2;
/// Channels before the picture is halved.
const CHANNELS: usize = 4;

/// A cell: an operation for each edge, in the order 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell(pub(crate) [Operation; EDGES]);

/// Number of the edge between two nodes.
pub(crate) fn edge(from: usize, to: usize) -> usize {
    to * (to - 1) / 2 + from
}

/// Where the edges begin and end, in their order.
pub(crate) fn edges() -> impl Iterator<Item = (usize, usize)> {
    (1..NODES).flat_map(|to| (0..to).map(move |from| (from, to)))
}

impl Cell {
    /// The cell of a text such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no cell of NAS-Bench-201; write it as |nor_conv_3x3~0|+|none~0|skip_connect~1|+\
                 |none~0|none~1|avg_pool_3x3~2|, with {}",
                NAS_BENCH_201.join(", ")
            )
        };
        let mut cell = [Operation::Nothing; EDGES];
        let nodes: Vec<&str> = text.trim().split('+').collect();
        if nodes.len() != NODES - 1 {
            return Err(wrong());
        }
        for (node, to) in nodes.into_iter().zip(1..) {
            let edges = node.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')).ok_or_else(wrong)?;
            let edges: Vec<&str> = edges.split('|').collect();
            if edges.len() != to {
                return Err(wrong());
            }
            for (written, from) in edges.into_iter().zip(0..) {
                let (name, number) = written.split_once('~').ok_or_else(wrong)?;
                if !NAS_BENCH_201.contains(&name) || number != from.to_string() {
                    return Err(wrong());
                }
                cell[edge(from, to)] = Operation::parse(name)?;
            }
        }
        Ok(Self(cell))
    }

    /// The classes' values of the network with this cell.
    pub(crate) fn network(self, tape: &mut Tape, picture: Id) -> Id {
        network(tape, picture, |tape, name, x, edge| self.0[edge].on(tape, name, x, 1))
    }
}

/// How the cell of an operation for each edge is written.
pub(crate) fn text(operations: [&str; EDGES]) -> String {
    let node = |to: usize| {
        let edges = (0..to).map(|from| format!("{}~{from}|", operations[edge(from, to)]));
        format!("|{}", edges.collect::<String>())
    };
    (1..NODES).map(node).collect::<Vec<_>>().join("+")
}

/// Stem, a cell, a residual block that halves the picture, a cell again, classes. An edge gets its name, what comes in
/// and its number, and gives what comes through.
pub(crate) fn network(
    tape: &mut Tape,
    picture: Id,
    mut edge: impl FnMut(&mut Tape, &str, Id, usize) -> Option<Id>,
) -> Id {
    let x = tape.convolution("stem", picture, CHANNELS, 1, (3, 1, 1));
    let x = tape.norm("stem", x);
    let x = cell(tape, "cell1", x, &mut edge);
    let y = operation::convolution(tape, "reduction", x, 2 * CHANNELS, (3, 2, 1));
    let short = tape.mean(x, 2, 2);
    let short = tape.convolution("reduction.short", short, 2 * CHANNELS, 1, (1, 1, 1));
    let x = tape.sum(&[y, short]);
    let x = cell(tape, "cell2", x, &mut edge);
    let x = tape.norm("last", x);
    let x = tape.relu(x);
    operation::classes(tape, x, CLASSES)
}

/// The last node.
fn cell(
    tape: &mut Tape,
    name: &str,
    x: Id,
    through: &mut impl FnMut(&mut Tape, &str, Id, usize) -> Option<Id>,
) -> Id {
    let mut nodes = BTreeMap::from([(0, Some(x))]);
    node(tape, name, NODES - 1, &mut nodes, through).unwrap_or_else(|| tape.zeros(tape.shape(x)))
}

/// A node, computed once; `None` is nothing.
fn node(
    tape: &mut Tape,
    name: &str,
    to: usize,
    nodes: &mut BTreeMap<usize, Option<Id>>,
    through: &mut impl FnMut(&mut Tape, &str, Id, usize) -> Option<Id>,
) -> Option<Id> {
    if let Some(known) = nodes.get(&to) {
        return *known;
    }
    let mut terms = Vec::new();
    for from in 0..to {
        let Some(x) = node(tape, name, from, nodes, through) else { continue };
        terms.extend(through(tape, &format!("{name}.{from}-{to}"), x, edge(from, to)));
    }
    let value = if terms.is_empty() { None } else { Some(tape.sum(&terms)) };
    nodes.insert(to, value);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_back_from_its_text() {
        let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|";
        assert_eq!(
            super::text(["nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none"]),
            text
        );
        assert!(Cell::parse(text).is_ok());
        let others = [
            "",
            "|nor_conv_3x3~0|",
            &text.replace("~2", "~3"),
            &text.replace("avg_pool_3x3", "max_pooling_3x3"),
        ];
        for other in others {
            assert!(Cell::parse(other).unwrap_err().contains("is no cell of NAS-Bench-201"), "{other}");
        }
    }
}
