//! Cells: small graphs whose edges are operations, of which networks are stacked.

use std::collections::BTreeSet;

use crate::graph::Graph;
use crate::operation::Operation;

/// An edge of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// Where it ends.
    pub to: usize,
    /// Where it begins, before `to`.
    pub from: usize,
    /// What is done on the way.
    pub operation: Operation,
}

/// What comes out of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// Its last node.
    Last,
    /// All its nodes side by side, inputs left out.
    Concat,
}

/// A graph without circles: nodes are sums of what their edges bring. Inputs come first, then the others in an order in
/// which every edge leads onwards. Two cells are equal if they are written alike; see [`Cell::canonical`] for more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    n_inputs: usize,
    n_nodes: usize,
    output: Output,
    /// In rising order.
    edges: Vec<Edge>,
}

/// Most nodes that [`Cell::canonical`] tries in all orders: 7! = 5,040.
const MAX_NODES: usize = 7;

/// When two cells of NAS-Bench-201 count as one, by what is computed along their edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// As published: a skip is what it skips, and nothing times anything is nothing; 6,466 classes of the 15,625 cells
    /// (Dong and Yang 2020, arXiv:2001.00326, section 2.1 and `to_unique_str` of its code).
    Published,
    /// Sums that differ only in terms that are zero are alike too; 5,390 classes.
    WithoutZeros,
    /// A sum within a sum is one sum as well, so that what is left are different functions; 4,930 classes.
    Function,
}

impl Cell {
    /// A cell. Edges may come in any order.
    ///
    /// # Panics
    /// If an edge does not lead from an earlier node to a later one that is no input.
    pub fn new(n_inputs: usize, n_nodes: usize, output: Output, mut edges: Vec<Edge>) -> Self {
        let is_right = |edge: &Edge| edge.from < edge.to && (n_inputs..n_inputs + n_nodes).contains(&edge.to);
        assert!(edges.iter().all(is_right), "an edge leads onwards");
        edges.sort_unstable();
        Self { n_inputs, n_nodes, output, edges }
    }

    /// Number of inputs; they are the first nodes.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// Number of other nodes.
    pub fn n_nodes(&self) -> usize {
        self.n_nodes
    }

    /// What comes out of it.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Its edges in rising order: by where they end, then by where they begin.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The first of all cells that are this one with its nodes in another order: isomorphic cells have the same.
    ///
    /// Tries all orders, so it is for the small cells of published spaces: cells with more than 7 nodes are returned as they
    /// are.
    #[must_use]
    pub fn canonical(&self) -> Self {
        self.orders().into_iter().map(|order| self.relabelled(&order)).min().unwrap_or_else(|| self.clone())
    }

    /// All orders of the nodes in which every edge leads onwards, as the new place of each node. The last node of a cell
    /// that ends with it stays the last.
    fn orders(&self) -> Vec<Vec<usize>> {
        let all = self.n_inputs + self.n_nodes;
        let identity = (0..all).collect();
        if self.n_nodes > MAX_NODES {
            return vec![identity];
        }
        let mut places = vec![usize::MAX; all];
        places[..self.n_inputs].copy_from_slice(&(0..self.n_inputs).collect::<Vec<_>>());
        let mut found = Vec::new();
        self.place(self.n_inputs, &mut places, &mut found);
        found
    }

    /// Puts each node that may come next into the next place, and goes on.
    fn place(&self, next: usize, places: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
        let all = self.n_inputs + self.n_nodes;
        if next == all {
            found.push(places.clone());
            return;
        }
        for node in self.n_inputs..all {
            let is_last = self.output == Output::Last && node + 1 == all;
            let mut before = self.edges.iter().filter(|edge| edge.to == node);
            let is_ready = before.all(|edge| places[edge.from] != usize::MAX);
            if places[node] == usize::MAX && is_ready && (!is_last || next + 1 == all) {
                places[node] = next;
                self.place(next + 1, places, found);
                places[node] = usize::MAX;
            }
        }
    }

    /// With each node moved to its place.
    fn relabelled(&self, places: &[usize]) -> Self {
        let edge = |edge: &Edge| Edge { to: places[edge.to], from: places[edge.from], ..*edge };
        Self::new(self.n_inputs, self.n_nodes, self.output, self.edges.iter().map(edge).collect())
    }

    /// What its last node computes, written so that cells which count as one are written alike.
    pub fn expression(&self, likeness: Likeness) -> String {
        const ZERO: &str = "#";
        let merges = likeness != Likeness::Published;
        let mut nodes: Vec<Vec<String>> = (0..self.n_inputs).map(|i| vec![i.to_string()]).collect();
        for node in self.n_inputs..self.n_inputs + self.n_nodes {
            let mut terms = Vec::new();
            for edge in self.edges.iter().filter(|edge| edge.to == node) {
                let from = &nodes[edge.from];
                let is_zero = edge.operation == Operation::Zero || from.is_empty() || from[..] == [ZERO];
                match edge.operation {
                    _ if is_zero && merges => {}
                    _ if is_zero => terms.push(ZERO.to_owned()),
                    Operation::Skip if likeness == Likeness::Function => terms.extend(from.iter().cloned()),
                    Operation::Skip => terms.push(from.join("+")),
                    operation => terms.push(format!("({})@{}", from.join("+"), operation.name())),
                }
            }
            terms.sort_unstable();
            nodes.push(terms);
        }
        nodes.pop().unwrap_or_default().join("+")
    }

    /// The sequences of operations along which the input reaches the output, nothing left out but zeros: the path encoding
    /// of White et al. 2021, arXiv:1910.11858, as a set. Each begins with the number of its input.
    pub fn paths(&self) -> BTreeSet<String> {
        let mut reaching: Vec<BTreeSet<String>> =
            (0..self.n_inputs).map(|i| BTreeSet::from([i.to_string()])).collect();
        for node in self.n_inputs..self.n_inputs + self.n_nodes {
            let edges = self.edges.iter().filter(|edge| edge.to == node && edge.operation != Operation::Zero);
            let paths = edges.flat_map(|edge| {
                let name = edge.operation.name();
                reaching[edge.from].iter().map(move |path| format!("{path}>{name}"))
            });
            let paths = paths.collect();
            reaching.push(paths);
        }
        match self.output {
            Output::Last => reaching.pop().unwrap_or_default(),
            Output::Concat => reaching.split_off(self.n_inputs).into_iter().flatten().collect(),
        }
    }

    /// The fewest edges to change, add or take away that make one cell the other, over all orders of the nodes that either
    /// has. `None` for cells of other shapes.
    pub fn edit_distance(&self, other: &Self) -> Option<usize> {
        let shape = |cell: &Self| (cell.n_inputs, cell.n_nodes, cell.output);
        if shape(self) != shape(other) {
            return None;
        }
        let nearest = |a: &Self, b: &Self| {
            let written: BTreeSet<Self> = a.orders().iter().map(|order| a.relabelled(order)).collect();
            written.iter().map(|a| a.differing(b)).min()
        };
        nearest(self, other).min(nearest(other, self))
    }

    /// Edges that differ as the cells are written.
    fn differing(&self, other: &Self) -> usize {
        let between = |cell: &Self| -> BTreeSet<(usize, usize)> {
            cell.edges.iter().map(|edge| (edge.to, edge.from)).collect()
        };
        let operations = |cell: &Self, (to, from): (usize, usize)| -> Vec<Operation> {
            let edges = cell.edges.iter().filter(|edge| (edge.to, edge.from) == (to, from));
            edges.map(|edge| edge.operation).collect()
        };
        let pairs: BTreeSet<_> = between(self).union(&between(other)).copied().collect();
        let of_pair = |pair| {
            let (ours, theirs) = (operations(self, pair), operations(other, pair));
            let mut left = theirs.clone();
            let shared = ours.iter().filter(|operation| {
                left.iter().position(|other| other == *operation).map(|i| left.swap_remove(i)).is_some()
            });
            ours.len().max(theirs.len()) - shared.count()
        };
        pairs.into_iter().map(of_pair).sum()
    }

    /// The graph, to be drawn.
    pub fn graph(&self) -> Graph {
        let into = |node: usize| {
            let its = self.edges.iter().filter(|edge| edge.to == node);
            its.map(|edge| (edge.operation.name(), edge.from)).collect()
        };
        let nodes: Vec<Vec<(String, usize)>> =
            (self.n_inputs..self.n_inputs + self.n_nodes).map(into).collect();
        let first = match self.output {
            Output::Last => self.n_inputs + self.n_nodes.saturating_sub(1),
            Output::Concat => self.n_inputs,
        };
        let out: Vec<usize> = (first..self.n_inputs + self.n_nodes).collect();
        Graph::of_cell("cell", self.n_inputs, &nodes, &out)
    }

    /// The graph as JSON: `{"inputs": 1, "nodes": 3, "output": "last", "edges": [{"from": 0, "to": 1, "operation": ..}]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let edges = self.edges.iter().map(|Edge { from, to, operation }| {
            serde_json::json!({"from": from, "to": to, "operation": operation.name()})
        });
        let output = match self.output {
            Output::Last => "last",
            Output::Concat => "concat",
        };
        serde_json::json!({
            "inputs": self.n_inputs,
            "nodes": self.n_nodes,
            "output": output,
            "edges": edges.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: usize, to: usize, operation: Operation) -> Edge {
        Edge { to, from, operation }
    }

    /// Two inputs, two nodes that do not see each other, and one that joins them; `swapped` numbers the two otherwise.
    fn diamond(swapped: bool) -> Cell {
        let (a, b) = if swapped { (3, 2) } else { (2, 3) };
        let edges = vec![
            edge(0, a, Operation::SepConv(3)),
            edge(1, a, Operation::Skip),
            edge(0, b, Operation::MaxPool(3)),
            edge(1, b, Operation::DilConv(5)),
            edge(a, 4, Operation::Skip),
            edge(b, 4, Operation::SepConv(5)),
        ];
        Cell::new(2, 3, Output::Concat, edges)
    }

    #[test]
    fn isomorphic_cells_are_one() {
        let (a, b) = (diamond(false), diamond(true));
        assert_ne!(a, b);
        assert_eq!(a.canonical(), b.canonical());
        assert_eq!(a.canonical(), a.canonical().canonical());
        assert_eq!(a.edit_distance(&b), Some(0));
        assert_eq!(a.paths(), b.paths());
        // Once one of the two sees the other they are no longer alike.
        let mut edges = a.edges().to_vec();
        edges.push(edge(2, 3, Operation::Skip));
        let chained = Cell::new(2, 3, Output::Concat, edges);
        assert_ne!(chained.canonical(), a.canonical());
        assert_eq!(chained.edit_distance(&a), Some(1));
        assert_eq!(a.edit_distance(&chained), Some(1), "whichever is relabelled");
    }

    #[test]
    fn a_path_is_written_by_its_operations() {
        let paths = diamond(false).paths();
        // Into the two nodes four, and onwards through the third the same four again.
        assert_eq!(paths.len(), 8);
        assert!(
            paths.contains("0>sep_conv_3x3>skip_connect") && paths.contains("1>dil_conv_5x5>sep_conv_5x5")
        );
    }

    #[test]
    fn a_cell_is_drawn_and_written_down() {
        let edges =
            vec![edge(0, 1, Operation::Conv(3)), edge(1, 2, Operation::Skip), edge(0, 2, Operation::Zero)];
        let cell = Cell::new(1, 2, Output::Last, edges);
        let dot = cell.graph().to_dot();
        assert!(dot.starts_with("digraph \"cell\" {") && dot.ends_with("}\n"));
        assert!(dot.contains("n0 -> n1 [label=\"nor_conv_3x3\"];") && dot.contains("n2 -> n3;"));
        assert!(!dot.contains("n1 -> n3;"));
        assert_eq!(
            cell.to_json().to_string(),
            r#"{"inputs":1,"nodes":2,"output":"last","edges":[{"from":0,"to":1,"operation":"nor_conv_3x3"},{"from":0,"to":2,"operation":"none"},{"from":1,"to":2,"operation":"skip_connect"}]}"#
        );
    }
}
