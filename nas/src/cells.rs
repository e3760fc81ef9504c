//! Spaces of cells: NAS-Bench-201's, with an operation on every edge, and DARTS', whose nodes choose what they read.

use std::collections::BTreeSet;

use study::{Assignment, Domain, Parameter, Space, Value};
use thiserror::Error;

use crate::architectures::Architectures;
use crate::cell::{Cell, Edge, Likeness, Output};
use crate::moves;
use crate::operation::{Operation, UnknownOperation};

/// Most nodes of a cell, inputs counted: published ones have up to 9.
const MAX_NODES: usize = 32;
/// Most nodes of cells that count as one by what they compute, which is written out; larger ones by their form.
const MAX_WRITTEN: usize = 8;

/// How the nodes of a space's cells are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// Each node reads all before it, and the last one is the output.
    Complete,
    /// Each node reads two of those before it, and all of them side by side are the output.
    Pairs,
}

impl Wiring {
    fn least_inputs(self) -> usize {
        if self == Self::Pairs { 2 } else { 1 }
    }
}

/// All cells of a wiring over a list of operations.
#[derive(Clone, Debug)]
pub struct CellSpace {
    n_inputs: usize,
    n_nodes: usize,
    wiring: Wiring,
    operations: Vec<Operation>,
    space: Space,
    /// For each choice of a cell, node by node, which parameter of the space it is.
    places: Vec<usize>,
}

/// Parameters are called as those of cells that are too large.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "parameter `{parameter}` is of node {node} of a cell, and a cell has at most {most} nodes, inputs counted, so that the last \
     is {last}; use fewer nodes, or call the parameter otherwise to search choices",
    most = MAX_NODES,
    last = MAX_NODES - 1
)]
pub struct TooManyNodes {
    /// The first such parameter.
    pub parameter: String,
    /// The node in its name.
    pub node: usize,
}

/// Why a text is no cell of a space.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CellError {
    /// An operation that the space does not have.
    #[error(transparent)]
    Operation(#[from] UnknownOperation),
    /// Something else.
    #[error(
        "`{0}` is no cell; write it as |nor_conv_3x3~0|+|none~0|skip_connect~1|, with every edge of the space"
    )]
    Form(String),
}

impl CellSpace {
    /// The 15,625 cells of NAS-Bench-201: four nodes, of which one is the input, and five operations on six edges.
    pub fn nas_bench_201() -> Self {
        Self::new(1, 3, Wiring::Complete, Operation::NAS_BENCH_201.to_vec())
    }

    /// Cells of DARTS: two inputs and four nodes that read two edges each. `none` is left out, as in the cells that DARTS
    /// ends with.
    pub fn darts() -> Self {
        Self::new(2, 4, Wiring::Pairs, Operation::DARTS[1..].to_vec())
    }

    /// All cells of these sizes.
    ///
    /// # Panics
    /// If there is no input, node or operation, or a pair of inputs is missing for [`Wiring::Pairs`].
    pub fn new(n_inputs: usize, n_nodes: usize, wiring: Wiring, operations: Vec<Operation>) -> Self {
        let is_there = n_inputs >= wiring.least_inputs() && n_nodes > 0 && !operations.is_empty();
        assert!(is_there, "there is something to choose");
        let names: Vec<String> = operations.iter().map(|operation| operation.name()).collect();
        let parameter = |(name, node): (String, Option<usize>)| {
            let choices = node.map_or_else(|| names.clone(), |node| pairs(node).map(written).collect());
            let domain = Domain::Categorical { choices, ordered: false };
            Parameter { name, domain, when: Vec::new(), default: None, prior: None }
        };
        let parameters: Vec<Parameter> = slots(n_inputs, n_nodes, wiring).map(parameter).collect();
        let places = (0..parameters.len()).collect();
        let space =
            Space::new(parameters, Vec::new()).expect("lists that are not empty, under names of their own");
        Self { n_inputs, n_nodes, wiring, operations, space, places }
    }

    /// The cells of a space whose parameters are called as those of [`CellSpace::nas_bench_201`] or of
    /// [`CellSpace::darts`], in any order: `edge_0_1`, or `inputs_2` such as `0,1` with `first_2` and `second_2`, all with
    /// the same operations in the same order. `None` for another space.
    ///
    /// # Errors
    /// If a parameter is called as one of a node beyond the 32nd.
    pub fn of(space: &Space) -> Result<Option<Self>, TooManyNodes> {
        let names = || space.parameters().iter().map(|parameter| parameter.name.as_str());
        let large = names().find_map(|name| Some((name, node_of(name).filter(|node| *node >= MAX_NODES)?)));
        match large {
            Some((name, node)) => Err(TooManyNodes { parameter: name.to_owned(), node }),
            None => Ok(Self::of_small(space)),
        }
    }

    /// The same where no name is of a node beyond the last.
    fn of_small(space: &Space) -> Option<Self> {
        let nodes = |prefix: &str| {
            let names = space.parameters().iter().map(|parameter| parameter.name.as_str());
            let nodes: BTreeSet<usize> =
                names.filter(|name| name.starts_with(prefix)).filter_map(node_of).collect();
            Some((*nodes.first()?, nodes.len()))
        };
        let (wiring, (n_inputs, n_nodes)) = match nodes("edge_") {
            Some(nodes) => (Wiring::Complete, nodes),
            None => (Wiring::Pairs, nodes("inputs_")?),
        };
        // The first node has a choice for each input, or one of two of them.
        let is_there = n_inputs >= wiring.least_inputs() && n_inputs + n_nodes <= MAX_NODES;
        if !is_there || space.is_conditional() || !space.constraints().is_empty() {
            return None;
        }
        let slots: Vec<_> = slots(n_inputs, n_nodes, wiring).collect();
        let places: Vec<usize> = slots.iter().map(|(name, _)| space.position(name)).collect::<Option<_>>()?;
        if places.len() != space.parameters().len() {
            return None;
        }
        let mut operations = None;
        for ((_, node), place) in slots.iter().zip(&places) {
            let Domain::Categorical { choices, .. } = &space.parameters()[*place].domain else { return None };
            let is_known = match node {
                Some(node) => pairs(*node).map(written).eq(choices.iter().cloned()),
                None => operations.get_or_insert(choices) == &choices,
            };
            if !is_known {
                return None;
            }
        }
        let operations: Vec<Operation> =
            operations?.iter().map(|name| Operation::parse(name)).collect::<Result<_, _>>().ok()?;
        Some(Self { n_inputs, n_nodes, wiring, operations, space: space.clone(), places })
    }

    /// Number of inputs of each cell.
    pub fn n_inputs(&self) -> usize {
        self.n_inputs
    }

    /// What an edge may be.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The cell of a point.
    pub fn cell(&self, point: &Assignment) -> Cell {
        let mut choices = self.places.iter().map(|place| match point.get(*place) {
            Some(Value::Choice(i)) => i,
            _ => 0,
        });
        let mut next = || choices.next().unwrap_or(0);
        let operation = |i: usize| self.operations[i.min(self.operations.len() - 1)];
        let mut edges = Vec::new();
        for to in self.n_inputs..self.n_inputs + self.n_nodes {
            match self.wiring {
                Wiring::Complete => {
                    edges.extend((0..to).map(|from| Edge { to, from, operation: operation(next()) }));
                }
                Wiring::Pairs => {
                    let (a, b) = pairs(to).nth(next()).unwrap_or((0, 1));
                    for from in [a, b] {
                        edges.push(Edge { to, from, operation: operation(next()) });
                    }
                }
            }
        }
        let output = if self.wiring == Wiring::Complete { Output::Last } else { Output::Concat };
        Cell::new(self.n_inputs, self.n_nodes, output, edges)
    }

    /// The point of a cell; `None` if it is none of this space.
    pub fn point(&self, cell: &Cell) -> Option<Assignment> {
        let mut choices = Vec::with_capacity(self.space.parameters().len());
        let number = |operation: Operation| self.operations.iter().position(|known| *known == operation);
        for to in self.n_inputs..self.n_inputs + self.n_nodes {
            let edges: Vec<&Edge> = cell.edges().iter().filter(|edge| edge.to == to).collect();
            if self.wiring == Wiring::Pairs {
                let [a, b] = edges[..] else { return None };
                choices.push(pairs(to).position(|pair| pair == (a.from, b.from))?);
            } else if !edges.iter().map(|edge| edge.from).eq(0..to) {
                return None;
            }
            for edge in edges {
                choices.push(number(edge.operation)?);
            }
        }
        let mut point = Assignment(vec![None; choices.len()]);
        for (place, choice) in self.places.iter().zip(choices) {
            point.0[*place] = Some(Value::Choice(choice));
        }
        (self.cell(&point) == *cell).then_some(point)
    }

    /// A cell as NAS-Bench-201 writes it: `|nor_conv_3x3~0|+|none~0|skip_connect~1|+...`.
    pub fn text(cell: &Cell) -> String {
        let nodes = (cell.n_inputs()..cell.n_inputs() + cell.n_nodes()).map(|node| {
            let edges = cell.edges().iter().filter(|edge| edge.to == node);
            let edges = edges.map(|edge| format!("{}~{}|", edge.operation.name(), edge.from));
            format!("|{}", edges.collect::<String>())
        });
        nodes.collect::<Vec<_>>().join("+")
    }

    /// The point of such a text.
    ///
    /// # Errors
    /// If it is written otherwise, or is a cell of another space.
    pub fn parse(&self, text: &str) -> Result<Assignment, CellError> {
        let wrong = || CellError::Form(text.to_owned());
        let mut edges = Vec::new();
        let nodes: Vec<&str> = text.trim().split('+').collect();
        if nodes.len() != self.n_nodes {
            return Err(wrong());
        }
        for (node, to) in nodes.iter().zip(self.n_inputs..) {
            let written =
                node.trim().strip_prefix('|').and_then(|rest| rest.strip_suffix('|')).ok_or_else(wrong)?;
            for edge in written.split('|') {
                let (name, from) = edge.split_once('~').ok_or_else(wrong)?;
                let from = from.trim().parse().ok().filter(|from| *from < to).ok_or_else(wrong)?;
                edges.push(Edge { to, from, operation: Operation::parse(name.trim())? });
            }
        }
        let output = if self.wiring == Wiring::Complete { Output::Last } else { Output::Concat };
        self.point(&Cell::new(self.n_inputs, self.n_nodes, output, edges)).ok_or_else(wrong)
    }

    /// All cells; for small spaces.
    pub fn all(&self) -> impl Iterator<Item = Assignment> + '_ {
        let sizes = self.space.parameters().iter().map(|p| p.domain.cardinality().unwrap_or(1));
        let sizes: Vec<u64> = sizes.collect();
        let n = sizes.iter().product::<u64>();
        (0..n).map(move |mut k| {
            let mut values = vec![None; sizes.len()];
            for (value, size) in values.iter_mut().zip(&sizes).rev() {
                *value = Some(Value::Choice((k % size) as usize));
                k /= size;
            }
            Assignment(values)
        })
    }

    /// Every path that any cell of the space may have, in order: what [`CellSpace::path_encoding`] is over. Their number
    /// grows with the number of operations to the power of the nodes.
    pub fn all_paths(&self) -> BTreeSet<String> {
        let names: Vec<String> =
            self.operations.iter().filter(|o| **o != Operation::Zero).map(|o| o.name()).collect();
        let mut reaching: Vec<BTreeSet<String>> =
            (0..self.n_inputs).map(|i| BTreeSet::from([i.to_string()])).collect();
        for node in self.n_inputs..self.n_inputs + self.n_nodes {
            let before: BTreeSet<&String> = reaching[..node].iter().flatten().collect();
            let longer =
                before.iter().flat_map(|path| names.iter().map(move |name| format!("{path}>{name}")));
            let longer = longer.collect();
            reaching.push(longer);
        }
        match self.wiring {
            Wiring::Complete => reaching.pop().unwrap_or_default(),
            Wiring::Pairs => reaching.split_off(self.n_inputs).into_iter().flatten().collect(),
        }
    }

    /// For each path of [`CellSpace::all_paths`] whether a cell has it (White et al. 2021, arXiv:1910.11858, section 3).
    pub fn path_encoding(all_paths: &BTreeSet<String>, cell: &Cell) -> Vec<bool> {
        let paths = cell.paths();
        all_paths.iter().map(|path| paths.contains(path)).collect()
    }
}

impl Architectures for CellSpace {
    fn space(&self) -> &Space {
        &self.space
    }

    /// Small cells that end with a node count as one if they compute the same as published; others if they are isomorphic.
    fn key(&self, point: &Assignment) -> String {
        let cell = self.cell(point);
        match self.wiring {
            Wiring::Complete if self.n_nodes <= MAX_WRITTEN => cell.expression(Likeness::Published),
            // Edges that nothing comes through would keep all nodes in their order.
            Wiring::Complete => Self::text(&cell.without_zeros().canonical()),
            Wiring::Pairs => Self::text(&cell.canonical()),
        }
    }

    fn features(&self, point: &Assignment) -> BTreeSet<String> {
        self.cell(point).paths()
    }

    fn distance(&self, a: &Assignment, b: &Assignment) -> usize {
        let (cell, other) = (self.cell(a), self.cell(b));
        cell.edit_distance(&other).unwrap_or_else(|| moves::differing(a, b))
    }
}

/// The node that a parameter is of, if it is called as those of cells are: `edge_0_2`, `inputs_2`.
fn node_of(name: &str) -> Option<usize> {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let node = match name.strip_prefix("edge_") {
        Some(edge) => edge.split_once('_').filter(|(from, _)| is_number(from))?.1,
        None => name.strip_prefix("inputs_")?,
    };
    // What is no number of this machine is larger than any node.
    Some(node).filter(is_number).map(|node| node.parse().unwrap_or(usize::MAX))
}

/// The choices that make a cell, node by node: their names, and the node where two of those before it are chosen.
fn slots(n_inputs: usize, n_nodes: usize, wiring: Wiring) -> impl Iterator<Item = (String, Option<usize>)> {
    (n_inputs..n_inputs + n_nodes).flat_map(move |node| match wiring {
        Wiring::Complete => (0..node).map(|from| (format!("edge_{from}_{node}"), None)).collect::<Vec<_>>(),
        Wiring::Pairs => {
            let edges = ["first", "second"].map(|edge| (format!("{edge}_{node}"), None));
            [(format!("inputs_{node}"), Some(node))].into_iter().chain(edges).collect()
        }
    })
}

/// Two different nodes before a node, in order.
fn pairs(node: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..node).flat_map(move |a| (a + 1..node).map(move |b| (a, b)))
}

/// Such a choice, as a space has it.
fn written((a, b): (usize, usize)) -> String {
    format!("{a},{b}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(likeness: Likeness) -> usize {
        let cells = CellSpace::nas_bench_201();
        cells.all().map(|point| cells.cell(&point).expression(likeness)).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn nas_bench_201_has_its_published_classes() {
        let cells = CellSpace::nas_bench_201();
        assert_eq!(cells.all().count(), 15_625);
        assert_eq!(classes(Likeness::Published), 6_466);
        assert_eq!(classes(Likeness::WithoutZeros), 5_390);
        assert_eq!(classes(Likeness::Function), 4_930);
    }

    #[test]
    fn a_space_of_the_same_names_in_any_order_is_one_of_cells() {
        for cells in [CellSpace::nas_bench_201(), CellSpace::darts()] {
            let mut parameters = cells.space().parameters().to_vec();
            parameters.reverse();
            let turned = CellSpace::of(&Space::new(parameters.clone(), vec![]).unwrap()).unwrap().unwrap();
            for k in 0..20 {
                let sizes =
                    cells.space().parameters().iter().map(|p| p.domain.cardinality().unwrap() as usize);
                let point: Vec<_> =
                    sizes.enumerate().map(|(i, n)| Some(Value::Choice((7 * k + i * k) % n))).collect();
                let other = Assignment(point.iter().rev().copied().collect());
                let cell = cells.cell(&Assignment(point));
                assert_eq!(turned.cell(&other), cell);
                assert_eq!(turned.point(&cell), Some(other));
            }
            let one_more = Parameter { name: "rate".into(), ..parameters[0].clone() };
            let others = [
                parameters[1..].to_vec(),
                parameters.iter().cloned().chain([one_more]).collect(),
                parameters.iter().cloned().map(|p| Parameter { name: format!("x{}", p.name), ..p }).collect(),
                vec![Parameter { name: "edge_0_31".into(), ..parameters[0].clone() }],
                vec![Parameter { name: "inputs_31".into(), ..parameters[0].clone() }],
            ];
            for other in others {
                assert!(CellSpace::of(&Space::new(other, vec![]).unwrap()).unwrap().is_none());
            }
            // Operations that nobody knows, or that are others on one edge.
            let domain = Domain::Categorical { choices: vec!["none".into(), "mine".into()], ordered: false };
            parameters[0].domain = domain;
            assert!(CellSpace::of(&Space::new(parameters, vec![]).unwrap()).unwrap().is_none());
        }
    }

    #[test]
    fn names_of_nodes_that_no_cell_has_are_refused() {
        let like = &CellSpace::nas_bench_201().space().parameters()[0].clone();
        let of = |name: &str| {
            let parameter = Parameter { name: name.into(), ..like.clone() };
            CellSpace::of(&Space::new(vec![parameter], vec![]).unwrap())
        };
        for name in ["edge_0_2000000000", "edge_0_32", "inputs_32", "edge_0_99999999999999999999999"] {
            let refused = of(name).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("parameter `{name}` is of node ")), "{refused}");
            assert!(refused.contains("at most 32 nodes") && refused.contains("the last is 31"), "{refused}");
        }
        for name in ["edge_0_x", "edge_99", "edge_of_2000000000", "inputs_", "width_2000000000"] {
            assert!(of(name).unwrap().is_none(), "{name}");
        }
    }

    /// Of cells with 31 nodes a text of what they compute would have more signs than there is memory.
    #[test]
    fn the_largest_cells_have_keys_and_features() {
        let cells = CellSpace::new(1, 31, Wiring::Complete, Operation::NAS_BENCH_201.to_vec());
        let read = CellSpace::of(cells.space()).unwrap().unwrap();
        let n = cells.space().parameters().len();
        let dense = Assignment(vec![Some(Value::Choice(3)); n]);
        let mut other = dense.clone();
        other.0[n - 1] = Some(Value::Choice(1));
        assert_ne!(read.key(&dense), read.key(&other));
        assert!(!read.features(&dense).is_empty());
    }

    #[test]
    fn every_cell_reads_back_from_its_text() {
        let cells = CellSpace::nas_bench_201();
        for point in cells.all().step_by(7) {
            let text = CellSpace::text(&cells.cell(&point));
            assert_eq!(cells.parse(&text), Ok(point));
        }
        let text =
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|";
        assert_eq!(CellSpace::text(&cells.cell(&cells.parse(text).unwrap())), text);
        for (wrong, said) in [
            ("", "is no cell"),
            ("|none~0|+|none~0|none~1|", "is no cell"),
            (&text.replace("~2", "~3"), "is no cell"),
            (&text.replace("avg_pool_3x3", "sep_conv_3x3"), "is no cell"),
            (&text.replace("avg_pool_3x3", "avg"), "`avg` is no operation"),
        ] {
            assert!(cells.parse(wrong).unwrap_err().to_string().contains(said), "{wrong}");
        }
        let darts = CellSpace::darts();
        let point = Assignment(vec![Some(Value::Choice(0)); 12]);
        assert_eq!(darts.parse(&CellSpace::text(&darts.cell(&point))), Ok(point));
    }

    /// Four operations without `none`: 4 paths of one edge, 16 of two, 64 of three.
    #[test]
    fn paths_are_counted_by_hand() {
        let cells = CellSpace::nas_bench_201();
        let all = cells.all_paths();
        assert_eq!(all.len(), 4 + 16 + 64);
        let text = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|";
        let cell = cells.cell(&cells.parse(text).unwrap());
        let encoded = CellSpace::path_encoding(&all, &cell);
        assert_eq!(encoded.iter().filter(|has| **has).count(), 2);
        assert!(cell.paths().contains("0>nor_conv_3x3>nor_conv_3x3>nor_conv_3x3"));
        // Two inputs, seven operations: sequences of up to four edges.
        assert_eq!(CellSpace::darts().all_paths().len(), 2 * (7 + 49 + 343 + 2401));
    }

    #[test]
    fn a_distance_counts_edges() {
        let cells = CellSpace::nas_bench_201();
        let at = |text: &str| cells.parse(text).unwrap();
        let a = at("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|");
        let b = at("|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|");
        assert_eq!((cells.distance(&a, &a), cells.distance(&a, &b), cells.distance(&b, &a)), (0, 2, 2));
    }
}
