//! Architectures as trials write them, read as graphs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Graph, LayerParts};

/// The graphs of a trial, by its parameters and the texts that it reported: Katib's `architecture` and `nn_config`, a
/// `Genotype(...)` as DARTS finds it, a cell written `|nor_conv_3x3~0|+...`, or parameters `edge_0_1` for each of its edges.
/// `None` if it is none of them.
pub fn read(parameters: &BTreeMap<String, String>, reported: &[&str]) -> Option<Vec<Graph>> {
    if let (Some(architecture), Some(config)) = (parameters.get("architecture"), parameters.get("nn_config"))
    {
        return chain(architecture, config).map(|graph| vec![graph]);
    }
    let texts = reported.iter().copied().chain(parameters.values().map(String::as_str));
    let mut written = texts.filter_map(|text| genotype(text).or_else(|| cell(text).map(|graph| vec![graph])));
    written.next().or_else(|| edges(parameters).map(|graph| vec![graph]))
}

/// JSON with single quotes, as Katib has it.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(&text.replace('\'', "\"")).ok()
}

fn chain(architecture: &str, config: &str) -> Option<Graph> {
    let (architecture, config) = (json(architecture)?, json(config)?);
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
    layers.filter(|layers| !layers.is_empty()).map(Graph::of_layers)
}

fn genotype(text: &str) -> Option<Vec<Graph>> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = text.strip_prefix("Genotype(")?;
    let part = |name: &str| {
        let (_, rest) = inner.split_once(&format!("{name}="))?;
        let (list, _) = rest.split_once(&format!(",{name}_concat="))?;
        let nodes: Vec<Vec<(String, usize)>> =
            serde_json::from_value(json(&list.replace('(', "[").replace(')', "]"))?).ok()?;
        let leads_on = nodes.iter().enumerate().all(|(i, its)| its.iter().all(|(_, from)| *from < i + 2));
        let out: Vec<usize> = (2..nodes.len() + 2).collect();
        (leads_on && !nodes.is_empty()).then(|| Graph::of_cell(name, 2, &nodes, &out))
    };
    Some(vec![part("normal")?, part("reduce")?])
}

fn cell(text: &str) -> Option<Graph> {
    let node = |(i, written): (usize, &str)| -> Option<Vec<(String, usize)>> {
        let inner = written.trim().strip_prefix('|')?.strip_suffix('|')?;
        let edge = |edge: &str| {
            let (name, from) = edge.split_once('~')?;
            Some((name.to_owned(), from.parse().ok().filter(|from| *from <= i)?))
        };
        inner.split('|').map(edge).collect()
    };
    let nodes: Vec<Vec<(String, usize)>> = text.split('+').enumerate().map(node).collect::<Option<_>>()?;
    Some(of_nodes(nodes))
}

/// A cell of one input that ends with its last node. What is `none` is not drawn.
fn of_nodes(mut nodes: Vec<Vec<(String, usize)>>) -> Graph {
    nodes.iter_mut().for_each(|its| its.retain(|(name, _)| name != "none"));
    Graph::of_cell("cell", 1, &nodes, &[nodes.len()])
}

fn edges(parameters: &BTreeMap<String, String>) -> Option<Graph> {
    let edge = |(name, text): (&String, &String)| -> Option<(usize, usize, String)> {
        let (from, to) = name.strip_prefix("edge_")?.split_once('_')?;
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (from < to).then(|| (to, from, text.clone()))
    };
    let mut edges: Vec<_> = parameters.iter().filter_map(edge).collect();
    edges.sort();
    let mut nodes = vec![Vec::new(); edges.last()?.0];
    for (to, from, operation) in edges {
        nodes[to - 1].push((operation, from));
    }
    Some(of_nodes(nodes))
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
        assert_eq!(read(&texts(&[("architecture", "[[1]]"), ("nn_config", "{}")]), &[]), None);
    }

    #[test]
    fn a_genotype_is_two_cells() {
        let text = "Genotype(normal=[[('skip_connection',0),('max_pooling_3x3',1)]],normal_concat=range(2,3),\
                    reduce=[[('separable_convolution_3x3',1)]],reduce_concat=range(2,3))";
        let graphs = read(&texts(&[("num-layers", "3")]), &["0.9", text]).unwrap();
        assert_eq!(graphs.iter().map(|graph| graph.name.as_str()).collect::<Vec<_>>(), ["normal", "reduce"]);
        assert_eq!(graphs[0].edges.len(), 3);
        assert_eq!(read(&texts(&[]), &["Genotype(8,['x'])"]), None);
    }

    #[test]
    fn a_cell_is_read_from_its_text_or_its_edges() {
        let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|";
        let written = read(&texts(&[("cell", text)]), &[]).unwrap();
        let edges =
            texts(&[("edge_0_1", "nor_conv_3x3"), ("edge_0_2", "none"), ("edge_1_2", "skip_connect")]);
        assert_eq!(read(&edges, &[]).unwrap(), written);
        assert_eq!(written[0].edges.len(), 3);
        assert_eq!(read(&texts(&[("lr", "0.1")]), &["0.5"]), None);
    }
}
