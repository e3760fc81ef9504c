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

/// Most nodes of which [`Cell::edit_distance`] tries all orders: 7! = 5,040.
const MAX_NODES: usize = 7;
/// Most orders of nodes that look alike which [`Cell::canonical`] tries.
const MAX_ORDERS: usize = 720;
/// Most paths to a node that [`Cell::paths`] follows; the cells of published spaces have at most 30.
const MAX_PATHS: usize = 512;

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

    /// One of all cells that are this one with its nodes in another order: isomorphic cells have the same.
    ///
    /// Nodes are told apart by what is around them; of those that this leaves alike all orders are tried, as long as they are
    /// no more than 720. Of a cell with more of them the first so many count, and isomorphic ones may be told apart.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let orders = Orders::of(self, &self.colours(), MAX_ORDERS);
        orders.into_iter().map(|order| self.relabelled(&order)).min().unwrap_or_else(|| self.clone())
    }

    /// All orders of the nodes in which every edge leads onwards, as the new place of each node. The last node of a cell
    /// that ends with it stays the last. Of a cell with more than 7 nodes the order that it is in.
    fn orders(&self) -> Vec<Vec<usize>> {
        let all = self.n_inputs + self.n_nodes;
        if self.n_nodes > MAX_NODES {
            return vec![(0..all).collect()];
        }
        Orders::of(self, &vec![0; all], usize::MAX)
    }

    /// A number for each node, the same for nodes that nothing tells apart so far: first inputs and output, then, again and
    /// again, the edges to and from nodes of which numbers (colour refinement). Isomorphic cells have the same numbers.
    fn colours(&self) -> Vec<usize> {
        let all = self.n_inputs + self.n_nodes;
        let is_last = |node: usize| self.output == Output::Last && node + 1 == all;
        let mut colours: Vec<usize> = (0..all)
            .map(|node| if is_last(node) { self.n_inputs + 1 } else { node.min(self.n_inputs) })
            .collect();
        let mut n_colours = 0;
        loop {
            let known = self.refine(&mut colours);
            if known == n_colours {
                return colours;
            }
            n_colours = known;
        }
    }

    /// Numbers nodes anew by their numbers and those around them; how many numbers there are then.
    fn refine(&self, colours: &mut [usize]) -> usize {
        let around = |node: usize| {
            let mut into: Vec<(Operation, usize)> = Vec::new();
            let mut out: Vec<(Operation, usize)> = Vec::new();
            for edge in &self.edges {
                if edge.to == node {
                    into.push((edge.operation, colours[edge.from]));
                } else if edge.from == node {
                    out.push((edge.operation, colours[edge.to]));
                }
            }
            into.sort_unstable();
            out.sort_unstable();
            (colours[node], into, out)
        };
        let signatures: Vec<_> = (0..colours.len()).map(around).collect();
        let known: Vec<_> = signatures.iter().collect::<BTreeSet<_>>().into_iter().collect();
        for (colour, signature) in colours.iter_mut().zip(&signatures) {
            *colour = known.binary_search(&signature).unwrap_or(0);
        }
        known.len()
    }

    /// With each node moved to its place.
    fn relabelled(&self, places: &[usize]) -> Self {
        let edge = |edge: &Edge| Edge { to: places[edge.to], from: places[edge.from], ..*edge };
        Self::new(self.n_inputs, self.n_nodes, self.output, self.edges.iter().map(edge).collect())
    }

    /// What its last node computes, written so that cells which count as one are written alike. For small cells: with every
    /// node the text may become twice as long.
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
    /// of White et al. 2021, arXiv:1910.11858, as a set. Each begins with the number of its input. To each node the 512
    /// shortest are followed: their number may double with every node, and the longest are the rarest (truncated as there).
    pub fn paths(&self) -> BTreeSet<String> {
        let mut reaching: Vec<BTreeSet<(usize, String)>> =
            (0..self.n_inputs).map(|i| BTreeSet::from([(0, i.to_string())])).collect();
        for node in self.n_inputs..self.n_inputs + self.n_nodes {
            let edges = self.edges.iter().filter(|edge| edge.to == node && edge.operation != Operation::Zero);
            let mut paths = BTreeSet::new();
            for edge in edges {
                let name = edge.operation.name();
                let longer = reaching[edge.from].iter().map(|(n, path)| (n + 1, format!("{path}>{name}")));
                paths.extend(longer);
                while paths.len() > MAX_PATHS {
                    paths.pop_last();
                }
            }
            reaching.push(paths);
        }
        let out = match self.output {
            Output::Last => reaching.pop().unwrap_or_default(),
            Output::Concat => reaching.split_off(self.n_inputs).into_iter().flatten().collect(),
        };
        out.into_iter().map(|(_, path)| path).collect()
    }

    /// The same cell without the edges that nothing comes through.
    #[must_use]
    pub(crate) fn without_zeros(&self) -> Self {
        let edges = self.edges.iter().filter(|edge| edge.operation != Operation::Zero).copied().collect();
        Self { edges, ..self.clone() }
    }

    /// The fewest edges to change, add or take away that make one cell the other, over all orders of the nodes that either
    /// has; over the one they are in for cells of more than 7 nodes. `None` for cells of other shapes.
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

/// Orders of a cell's nodes in which every edge leads onwards.
struct Orders<'a> {
    cell: &'a Cell,
    colours: &'a [usize],
    /// For each node those that it reads.
    before: Vec<Vec<usize>>,
    /// The place of each node, `usize::MAX` as long as it has none.
    places: Vec<usize>,
    most: usize,
    found: Vec<Vec<usize>>,
}

impl<'a> Orders<'a> {
    /// The first `most` orders in which, of the nodes that may come next, one of the least colour does.
    fn of(cell: &'a Cell, colours: &'a [usize], most: usize) -> Vec<Vec<usize>> {
        let all = cell.n_inputs + cell.n_nodes;
        let mut before = vec![Vec::new(); all];
        cell.edges.iter().for_each(|edge| before[edge.to].push(edge.from));
        let places = (0..all).map(|node| if node < cell.n_inputs { node } else { usize::MAX }).collect();
        let mut orders = Self { cell, colours, before, places, most, found: Vec::new() };
        orders.place(cell.n_inputs);
        orders.found
    }

    /// Puts each node that may come next into the next place, and goes on.
    fn place(&mut self, next: usize) {
        let all = self.places.len();
        if next == all {
            self.found.push(self.places.clone());
            return;
        }
        let ready: Vec<usize> = (self.cell.n_inputs..all).filter(|node| self.may_come(*node, next)).collect();
        let least = ready.iter().map(|node| self.colours[*node]).min();
        for node in ready.into_iter().filter(|node| Some(self.colours[*node]) == least) {
            if self.found.len() >= self.most {
                return;
            }
            self.places[node] = next;
            self.place(next + 1);
            self.places[node] = usize::MAX;
        }
    }

    fn may_come(&self, node: usize, next: usize) -> bool {
        let all = self.places.len();
        let is_last = self.cell.output == Output::Last && node + 1 == all;
        self.places[node] == usize::MAX
            && self.before[node].iter().all(|from| self.places[*from] != usize::MAX)
            && (!is_last || next + 1 == all)
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

    /// A ladder of 30 nodes, each of which reads the two before it: with every node there are more paths, orders and terms.
    fn ladder(turned: bool) -> Cell {
        let place = |node: usize| match node {
            // Two nodes that read the inputs alone, in either order.
            2 | 3 if turned => 5 - node,
            other => other,
        };
        let joined = |to: usize, from: usize, operation| edge(place(from), place(to), operation);
        let first = [
            joined(2, 0, Operation::SepConv(3)),
            joined(2, 1, Operation::Skip),
            joined(3, 0, Operation::MaxPool(3)),
            joined(3, 1, Operation::Skip),
        ];
        let others = (4..32)
            .flat_map(|to| [joined(to, to - 1, Operation::Skip), joined(to, to - 2, Operation::SepConv(5))]);
        Cell::new(2, 30, Output::Concat, first.into_iter().chain(others).collect())
    }

    #[test]
    fn cells_of_many_nodes_are_compared_and_encoded_in_no_time() {
        let (a, b) = (ladder(false), ladder(true));
        assert_ne!(a, b);
        assert_eq!(a.canonical(), b.canonical());
        assert_eq!(a.paths(), b.paths());
        assert!(a.paths().len() <= 30 * MAX_PATHS && a.paths().contains("0>sep_conv_3x3"));
        // Twenty nodes that nothing tells apart: 20! orders, all of which write the same.
        let alike = (1..21).map(|to| edge(0, to, Operation::Skip)).collect();
        let alike = Cell::new(1, 20, Output::Concat, alike);
        assert_eq!(alike.canonical(), alike);
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
