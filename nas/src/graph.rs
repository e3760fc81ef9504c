//! Architectures as graphs to look at: as text, as SVG, in the language of Graphviz, as JSON.

mod charts;
mod read;
mod svg;
mod weights;

use std::collections::BTreeSet;

pub use read::{GraphError, read};
pub use weights::OperationWeights;

use crate::architectures::escaped;

/// A graph without circles. Nodes come in an order in which every edge leads onwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// What it is: `network`, `cell`, `normal` or `reduce`.
    pub name: String,
    /// Inputs first, the output last.
    pub nodes: Vec<Node>,
    /// In the order of the nodes that they lead to.
    pub edges: Vec<Link>,
}

/// A node of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is called, or does.
    pub label: String,
    /// Sizes and the like, by name.
    pub parameters: Vec<(String, String)>,
}

/// An edge of a graph, by the numbers of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// The operation on it, empty where there is none.
    pub operation: String,
}

/// A layer of a chain: what it does, its parameters, and the layers before it that it reads.
pub(crate) type LayerParts = (String, Vec<(String, String)>, BTreeSet<usize>);

impl Graph {
    /// Layers in a row, between an input and an output. The first one reads the input.
    pub(crate) fn of_layers(layers: Vec<LayerParts>) -> Self {
        let (last, mut nodes, mut edges) = (layers.len(), vec![Node::plain("input")], Vec::new());
        let link = |from, to| Link { from, to, operation: String::new() };
        for (i, (label, parameters, reads)) in layers.into_iter().enumerate() {
            nodes.push(Node { label, parameters });
            if i == 0 {
                edges.push(link(0, 1));
            }
            edges.extend(reads.into_iter().map(|from| link(from + 1, i + 1)));
        }
        nodes.push(Node::plain("output"));
        edges.push(link(last, last + 1));
        Self { name: "network".into(), nodes, edges }
    }

    /// A cell: its inputs, the edges into each other node as operations with where they begin, and the nodes that come
    /// out of it.
    pub(crate) fn of_cell(name: &str, n_inputs: usize, cell: &[Vec<(String, usize)>], out: &[usize]) -> Self {
        let input = |i: usize| if n_inputs == 1 { "input".to_owned() } else { format!("input {i}") };
        let mut nodes: Vec<Node> = (0..n_inputs).map(|i| Node::plain(&input(i))).collect();
        let mut edges = Vec::new();
        for (to, its) in cell.iter().enumerate().map(|(i, its)| (i + n_inputs, its)) {
            nodes.push(Node::plain(&to.to_string()));
            let link =
                |(operation, from): &(String, usize)| Link { from: *from, to, operation: operation.clone() };
            edges.extend(its.iter().map(link));
        }
        let to = nodes.len();
        nodes.push(Node::plain("output"));
        edges.extend(out.iter().map(|from| Link { from: *from, to, operation: String::new() }));
        Self { name: name.into(), nodes, edges }
    }

    /// Lines of text: each node with what leads to it.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.name);
        for (to, node) in self.nodes.iter().enumerate() {
            let parameters = node.parameters.iter().map(|(name, value)| format!("  {name} {value}"));
            text.push_str(&format!("  {}{}\n", self.called(to), parameters.collect::<String>()));
            let into: Vec<&Link> = self.edges.iter().filter(|edge| edge.to == to).collect();
            for (i, edge) in into.iter().enumerate() {
                let branch = if i + 1 == into.len() { "└─" } else { "├─" };
                let arrow = if edge.operation.is_empty() { "" } else { " ◀ " };
                text.push_str(&format!("   {branch} {}{arrow}{}\n", edge.operation, self.called(edge.from)));
            }
        }
        text
    }

    /// One line: what is on the edges of a cell, or the layers of a chain with what is read beside the layer before.
    pub fn to_line(&self) -> String {
        let on_edges = self.edges.iter().filter(|edge| !edge.operation.is_empty());
        let edges: Vec<String> =
            on_edges.map(|edge| format!("{} {}-{}", edge.operation, edge.from, edge.to)).collect();
        if !edges.is_empty() {
            return edges.join(", ");
        }
        let layers = (1..self.nodes.len().saturating_sub(1)).map(|to| {
            let skips = self.edges.iter().filter(|edge| edge.to == to && edge.from + 1 != to);
            let skips = skips.map(|edge| format!(" +{}", edge.from));
            format!("{}{}", self.nodes[to].label, skips.collect::<String>())
        });
        layers.collect::<Vec<_>>().join(", ")
    }

    /// A node by its name, with its number where many may have that.
    fn called(&self, node: usize) -> String {
        let label = &self.nodes[node].label;
        if self.nodes[node].parameters.is_empty() { label.clone() } else { format!("{node} {label}") }
    }

    /// The language of Graphviz.
    pub fn to_dot(&self) -> String {
        let mut dot = format!("digraph \"{}\" {{\n  rankdir=LR;\n", escaped(&self.name));
        for (i, node) in self.nodes.iter().enumerate() {
            let parameters = node.parameters.iter().map(|(name, value)| format!("\n{name} {value}"));
            let label = escaped(&format!("{}{}", node.label, parameters.collect::<String>()));
            dot.push_str(&format!("  n{i} [label=\"{}\"];\n", label.replace('\n', "\\n")));
        }
        for Link { from, to, operation } in &self.edges {
            let label = if operation.is_empty() {
                String::new()
            } else {
                format!(" [label=\"{}\"]", escaped(operation))
            };
            dot.push_str(&format!("  n{from} -> n{to}{label};\n"));
        }
        dot.push_str("}\n");
        dot
    }

    /// JSON: `{"name": .., "nodes": [{"label": .., "parameters": {..}}], "edges": [{"from": 0, "to": 1, "operation": ..}]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let node = |node: &Node| {
            let parameters = node.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into()));
            let parameters: serde_json::Map<String, serde_json::Value> = parameters.collect();
            serde_json::json!({"label": node.label, "parameters": parameters})
        };
        let edge =
            |edge: &Link| serde_json::json!({"from": edge.from, "to": edge.to, "operation": edge.operation});
        serde_json::json!({
            "name": self.name,
            "nodes": self.nodes.iter().map(node).collect::<Vec<_>>(),
            "edges": self.edges.iter().map(edge).collect::<Vec<_>>(),
        })
    }

    /// A picture of graphs, one below the other, and of what the operations weighed that were chosen from.
    pub fn to_svg(graphs: &[Self], weights: Option<&OperationWeights>) -> String {
        svg::draw(graphs, weights)
    }
}

impl Node {
    fn plain(label: &str) -> Self {
        Self { label: label.into(), parameters: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell() -> Graph {
        let edge = |operation: &str, from| (operation.to_owned(), from);
        let nodes = [vec![edge("max_pool", 0), edge("skip", 1)], vec![edge("sep<3>", 2)]];
        Graph::of_cell("normal", 2, &nodes, &[2, 3])
    }

    #[test]
    fn a_cell_is_drawn_as_text() {
        let text = "normal\n  input 0\n  input 1\n  2\n   ├─ max_pool ◀ input 0\n   └─ skip ◀ input 1\n  3\n   \
                    └─ sep<3> ◀ 2\n  output\n   ├─ 2\n   └─ 3\n";
        assert_eq!(cell().to_text(), text);
    }

    #[test]
    fn a_picture_has_every_node_and_edge_within_it() {
        let graphs = [cell(), cell()];
        let svg = Graph::to_svg(&graphs, None);
        assert_eq!(svg.matches("<rect").count(), 2 * 5);
        assert_eq!(svg.matches("<path").count(), 2 * 5);
        assert!(svg.contains(">sep&lt;3&gt;<") && svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn an_architecture_is_said_in_a_line() {
        assert_eq!(cell().to_line(), "max_pool 0-2, skip 1-2, sep<3> 2-3");
        let layer =
            |label: &str, reads: &[usize]| (label.to_owned(), vec![], reads.iter().copied().collect());
        let layers = vec![layer("conv", &[]), layer("pool", &[0]), layer("conv", &[0, 1])];
        assert_eq!(Graph::of_layers(layers).to_line(), "conv, pool, conv +1");
    }

    #[test]
    fn weights_are_drawn_below_the_graphs() {
        let svg = Graph::to_svg(&[cell()], Some(&weights::tests::two_epochs()));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(
            svg.contains(">normal 0-2, to 1.00<") && svg.contains("\">sep&lt;3&gt;</text>\n<text"),
            "{svg}"
        );
        let height = |svg: &str| -> i64 {
            let (_, rest) = svg.split_once(" height=\"").unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        assert!(height(&svg) > height(&Graph::to_svg(&[cell()], None)) + 100);
    }

    #[test]
    fn a_graph_is_written_for_other_programs() {
        let dot = cell().to_dot();
        assert!(dot.contains("n0 -> n2 [label=\"max_pool\"];") && dot.contains("n3 -> n4;"), "{dot}");
        let json = cell().to_json();
        assert_eq!(json["edges"][1], serde_json::json!({"from": 1, "to": 2, "operation": "skip"}));
        assert_eq!(json["nodes"][4]["label"], "output");
    }
}
