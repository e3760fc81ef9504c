//! Architectures as trials write them, read as graphs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use thiserror::Error;

use super::{Graph, LayerParts};

/// Most nodes of a graph: the largest chains have 100 layers.
const MAX_NODES: usize = 256;
/// Most edges of a graph: each of the nodes of a large cell or chain may read all before it.
const MAX_EDGES: usize = MAX_NODES * MAX_NODES / 2;

/// Why what a trial has written is not drawn.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GraphError {
    /// It is written in none of the forms that are known, or is broken.
    #[error(
        "it has neither `architecture` and `nn_config`, nor a metric such as Genotype(...), nor a cell such as \
         |nor_conv_3x3~0|+... among its parameters and metrics"
    )]
    Unknown,
    /// It has a form that is known, and more nodes or edges than are drawn.
    #[error(
        "it has {nodes} nodes and {edges} edges, and at most {most} and {most_edges} are drawn; a name `edge_A_B` says by B how \
         many nodes there are",
        most = MAX_NODES,
        most_edges = MAX_EDGES
    )]
    TooLarge {
        /// How many nodes there would be.
        nodes: usize,
        /// How many edges.
        edges: usize,
    },
}

/// The graphs of a trial, by its parameters and the texts that it reported: Katib's `architecture` and `nn_config`, a
/// `Genotype(...)` as DARTS finds it, a cell written `|nor_conv_3x3~0|+...`, or parameters `edge_0_1` for each of its edges.
///
/// # Errors
/// If it is none of them, or more than can be drawn.
pub fn read(parameters: &BTreeMap<String, String>, reported: &[&str]) -> Result<Vec<Graph>, GraphError> {
    if let (Some(architecture), Some(config)) = (parameters.get("architecture"), parameters.get("nn_config"))
    {
        return chain(architecture, config).unwrap_or(Err(GraphError::Unknown)).map(|graph| vec![graph]);
    }
    let texts = reported.iter().copied().chain(parameters.values().map(String::as_str));
    let mut written =
        texts.filter_map(|text| genotype(text).or_else(|| Some(cell(text)?.map(|graph| vec![graph]))));
    let found = written.next().or_else(|| Some(edges(parameters)?.map(|graph| vec![graph])));
    found.unwrap_or(Err(GraphError::Unknown))
}

/// What has been read of a text, if it has the form that is looked for.
type Found<T> = Option<Result<T, GraphError>>;

/// Refuses what is too large before it is made.
fn check(nodes: usize, edges: usize) -> Result<(), GraphError> {
    let is_small = nodes <= MAX_NODES && edges <= MAX_EDGES;
    if is_small { Ok(()) } else { Err(GraphError::TooLarge { nodes, edges }) }
}

/// How many edges lead to these nodes.
fn n_edges(nodes: &[Vec<(String, usize)>]) -> usize {
    nodes.iter().map(Vec::len).sum()
}

/// JSON with single quotes, as Katib has it.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(&text.replace('\'', "\"")).ok()
}

fn chain(architecture: &str, config: &str) -> Found<Graph> {
    let (architecture, config) = (json(architecture)?, json(config)?);
    let n_layers = architecture.as_array()?.len();
    // A number for each layer, or for each that it may read.
    if let Err(error) = check(n_layers, n_layers.saturating_mul(n_layers) / 2) {
        return Some(Err(error));
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let layer = |(i, written): (usize, &Value)| -> Option<LayerParts> {
        let numbers: Vec<u64> = written.as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?;
        let (operation, bits) = numbers.split_first().filter(|(_, bits)| bits.len() == i)?;
        let its = config["embedding"].get(operation.to_string())?;
        let parameters = its["opt_params"].as_object()?.iter();
        let skips = (0..i).filter(|from| bits[*from] == 1);
        Some((
            its["opt_type"].as_str()?.to_owned(),
            parameters.map(|(name, value)| (name.clone(), plain(value))).collect(),
            // The layer right before is always read.
            skips.chain(i.checked_sub(1)).collect::<BTreeSet<usize>>(),
        ))
    };
    let layers: Option<Vec<LayerParts>> = architecture.as_array()?.iter().enumerate().map(layer).collect();
    layers.filter(|layers| !layers.is_empty()).map(|layers| Ok(Graph::of_layers(layers)))
}

fn genotype(text: &str) -> Found<Vec<Graph>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = text.strip_prefix("Genotype(")?;
    let part = |name: &str| {
        let (_, rest) = inner.split_once(&format!("{name}="))?;
        let (list, _) = rest.split_once(&format!(",{name}_concat="))?;
        let nodes: Vec<Vec<(String, usize)>> =
            serde_json::from_value(json(&list.replace('(', "[").replace(')', "]"))?).ok()?;
        let leads_on = nodes.iter().enumerate().all(|(i, its)| its.iter().all(|(_, from)| *from < i + 2));
        let out: Vec<usize> = (2..nodes.len() + 2).collect();
        let graph = || check(nodes.len(), n_edges(&nodes)).map(|()| Graph::of_cell(name, 2, &nodes, &out));
        (leads_on && !nodes.is_empty()).then(graph)
    };
    let (normal, reduce) = (part("normal")?, part("reduce")?);
    Some(normal.and_then(|normal| Ok(vec![normal, reduce?])))
}

fn cell(text: &str) -> Found<Graph> {
    let node = |(i, written): (usize, &str)| -> Option<Vec<(String, usize)>> {
        let inner = written.trim().strip_prefix('|')?.strip_suffix('|')?;
        let edge = |edge: &str| {
            let (name, from) = edge.split_once('~')?;
            Some((name.to_owned(), from.parse().ok().filter(|from| *from <= i)?))
        };
        inner.split('|').map(edge).collect()
    };
    let nodes: Vec<Vec<(String, usize)>> = text.split('+').enumerate().map(node).collect::<Option<_>>()?;
    Some(check(nodes.len(), n_edges(&nodes)).map(|()| of_nodes(nodes)))
}

/// A cell of one input that ends with its last node. What is `none` is not drawn.
fn of_nodes(mut nodes: Vec<Vec<(String, usize)>>) -> Graph {
    nodes.iter_mut().for_each(|its| its.retain(|(name, _)| name != "none"));
    Graph::of_cell("cell", 1, &nodes, &[nodes.len()])
}

fn edges(parameters: &BTreeMap<String, String>) -> Found<Graph> {
    let edge = |(name, text): (&String, &String)| -> Option<(usize, usize, String)> {
        let (from, to) = name.strip_prefix("edge_")?.split_once('_')?;
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (from < to).then(|| (to, from, text.clone()))
    };
    let mut edges: Vec<_> = parameters.iter().filter_map(edge).collect();
    edges.sort();
    let n_nodes = edges.last()?.0;
    if let Err(error) = check(n_nodes, edges.len()) {
        return Some(Err(error));
    }
    let mut nodes = vec![Vec::new(); n_nodes];
    for (to, from, operation) in edges {
        nodes[to - 1].push((operation, from));
    }
    Some(Ok(of_nodes(nodes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_chain_of_katib_reads_the_layer_before_and_its_skips() {
        let parameters = texts(&[
            ("architecture", "[[1], [0, 0], [1, 1, 0]]"),
            (
                "nn_config",
                "{'embedding': {'0': {'opt_type': 'reduction', 'opt_params': {'pool_size': 2}}, \
                 '1': {'opt_type': 'convolution', 'opt_params': {'num_filter': '8'}}}}",
            ),
        ]);
        let [graph] = &read(&parameters, &[]).unwrap()[..] else { panic!("one graph") };
        let edges: Vec<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        assert_eq!(edges, [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4)]);
        assert!(
            graph
                .to_text()
                .contains("  3 convolution  num_filter 8\n   ├─ 1 convolution\n   └─ 2 reduction\n")
        );
        assert_eq!(
            read(&texts(&[("architecture", "[[1]]"), ("nn_config", "{}")]), &[]),
            Err(GraphError::Unknown)
        );
    }

    #[test]
    fn a_genotype_is_two_cells() {
        let text = "Genotype(normal=[[('skip_connection',0),('max_pooling_3x3',1)]],normal_concat=range(2,3),\
                    reduce=[[('separable_convolution_3x3',1)]],reduce_concat=range(2,3))";
        let graphs = read(&texts(&[("num-layers", "3")]), &["0.9", text]).unwrap();
        assert_eq!(graphs.iter().map(|graph| graph.name.as_str()).collect::<Vec<_>>(), ["normal", "reduce"]);
        assert_eq!(graphs[0].edges.len(), 3);
        assert_eq!(read(&texts(&[]), &["Genotype(8,['x'])"]), Err(GraphError::Unknown));
    }

    #[test]
    fn a_cell_is_read_from_its_text_or_its_edges() {
        let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|";
        let written = read(&texts(&[("cell", text)]), &[]).unwrap();
        let edges =
            texts(&[("edge_0_1", "nor_conv_3x3"), ("edge_0_2", "none"), ("edge_1_2", "skip_connect")]);
        assert_eq!(read(&edges, &[]).unwrap(), written);
        assert_eq!(written[0].edges.len(), 3);
        assert_eq!(read(&texts(&[("lr", "0.1")]), &["0.5"]), Err(GraphError::Unknown));
    }

    /// Names and texts are those of whoever made the experiment, or its trials.
    #[test]
    fn what_is_too_large_is_refused_before_it_is_made() {
        let refused = |parameters: &[(&str, &str)], reported: &[&str]| {
            read(&texts(parameters), reported).unwrap_err().to_string()
        };
        let far = refused(&[("edge_0_2000000000", "none")], &[]);
        assert!(far.starts_with("it has 2000000000 nodes and 1 edges, and at most 256 and 32768"), "{far}");
        let row = vec!["|none~0|"; 300].join("+");
        assert!(refused(&[("cell", &row)], &[]).starts_with("it has 300 nodes"));
        let many = format!("|{}", "none~0|".repeat(MAX_EDGES + 1));
        assert!(refused(&[("cell", &many)], &[]).contains("32769 edges"));
        let nodes = vec!["[('a',0)]"; 300].join(",");
        let genotype = format!(
            "Genotype(normal=[{nodes}],normal_concat=range(2,3),reduce=[{nodes}],reduce_concat=range(2,3))"
        );
        assert!(refused(&[], &[&genotype]).starts_with("it has 300 nodes"));
        let layers = (0..300).map(|i| format!("[0{}]", ", 0".repeat(i))).collect::<Vec<_>>().join(", ");
        let chain = format!("[{layers}]");
        let config = "{'embedding': {'0': {'opt_type': 'a', 'opt_params': {}}}}";
        assert!(
            refused(&[("architecture", &chain), ("nn_config", config)], &[]).starts_with("it has 300 nodes")
        );
    }

    /// Forms that look right at first.
    #[test]
    fn broken_texts_are_no_architecture() {
        let config = "{'embedding': {'0': {'opt_type': 'a', 'opt_params': {}}}}";
        for architecture in
            ["", "[", "[]", "[[]]", "[0]", "[[0], [0]]", "[[-1]]", "[[1]]", "[[0], [0, 'x']]", "{}", "NaN"]
        {
            let parameters = texts(&[("architecture", architecture), ("nn_config", config)]);
            assert_eq!(read(&parameters, &[]), Err(GraphError::Unknown), "{architecture}");
        }
        for text in
            ["||", "|none~1|", "|none~-1|", "|none|", "+", "|none~0|+", "Genotype(normal=[],reduce=[])"]
        {
            assert_eq!(read(&texts(&[("cell", text)]), &[text]), Err(GraphError::Unknown), "{text}");
        }
        for name in
            ["edge_1_0", "edge_1_1", "edge__1", "edge_0_", "edge_0_99999999999999999999999", "edge_-1_2"]
        {
            assert_eq!(read(&texts(&[(name, "none")]), &[]), Err(GraphError::Unknown), "{name}");
        }
    }
}
