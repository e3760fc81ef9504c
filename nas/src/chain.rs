//! Chains of layers with skip connections: the architectures of Katib's `nasConfig`.

use std::collections::BTreeSet;

use study::{Assignment, LayerOperation, Network, Space};

use crate::architectures::Architectures;
use crate::cost::{Cost, Shape, convolution, dense, product};
use crate::graph::Graph;
use crate::moves;

/// All chains of a network.
#[derive(Clone, Debug)]
pub struct Chains {
    space: Space,
    network: Network,
    /// For each operation the first that is the same.
    alike: Vec<usize>,
}

/// One chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain<'a> {
    network: &'a Network,
    layers: Vec<Layer>,
}

/// A layer of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Number of its operation.
    pub operation: usize,
    /// Layers before it that it reads beside the one right before it, from 0, in rising order. That one may be named
    /// too, and is read once all the same.
    pub skips: Vec<usize>,
}

impl Chains {
    /// The chains of a space; `None` if its points are no architectures.
    pub fn new(space: &Space) -> Option<Self> {
        let network = space.network()?.clone();
        let operations = network.operations();
        let first = |operation: &LayerOperation| operations.iter().position(|other| other == operation);
        let alike =
            operations.iter().enumerate().map(|(i, operation)| first(operation).unwrap_or(i)).collect();
        Some(Self { space: space.clone(), network, alike })
    }

    /// The chain of a point; `None` for a point of another space.
    pub fn chain(&self, point: &Assignment) -> Option<Chain<'_>> {
        let layer = |numbers: Vec<usize>| Layer {
            operation: numbers[0],
            skips: (0..numbers.len() - 1).filter(|from| numbers[from + 1] == 1).collect(),
        };
        let layers = self.network.layers(point)?.into_iter().map(layer).collect();
        Some(Chain { network: &self.network, layers })
    }
}

impl Architectures for Chains {
    fn space(&self) -> &Space {
        &self.space
    }

    /// Chains of the same operations and connections are one; operations that a user has listed twice are the same.
    fn key(&self, point: &Assignment) -> String {
        let Some(mut layers) = self.network.layers(point) else { return String::new() };
        for layer in &mut layers {
            layer[0] = self.alike[layer[0]];
        }
        format!("{layers:?}")
    }

    /// Which operation each layer is, which kind, and from where it reads. Paths of a chain are too many to be listed.
    fn features(&self, point: &Assignment) -> BTreeSet<String> {
        let Some(chain) = self.chain(point) else { return BTreeSet::new() };
        let layers = chain.layers.iter().enumerate().flat_map(|(i, layer)| {
            let kind = &self.network.operations()[layer.operation].kind;
            let own = [format!("{i}={}", self.alike[layer.operation]), format!("{i}:{kind}")];
            own.into_iter().chain(layer.skips.iter().map(move |from| format!("{from}>{i}")))
        });
        layers.collect()
    }

    fn distance(&self, a: &Assignment, b: &Assignment) -> usize {
        if self.key(a) == self.key(b) { 0 } else { moves::differing(a, b) }
    }
}

impl Chain<'_> {
    /// Its layers, the first one first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    fn operation(&self, layer: &Layer) -> &LayerOperation {
        &self.network.operations()[layer.operation]
    }

    /// Layers that a layer reads, in rising order; the first one reads the input alone.
    fn sources(&self, i: usize) -> BTreeSet<usize> {
        self.layers[i].skips.iter().copied().chain(i.checked_sub(1)).collect()
    }

    /// The graph, to be drawn.
    pub fn graph(&self) -> Graph {
        let layer = |(i, layer): (usize, &Layer)| {
            let LayerOperation { kind, parameters } = self.operation(layer);
            let parameters = parameters.iter().map(|(name, value)| {
                let value = match value {
                    study::Constant::Text(text) => text.clone(),
                    study::Constant::Int(n) => n.to_string(),
                    study::Constant::Float(x) => x.to_string(),
                };
                (name.clone(), value)
            });
            (kind.clone(), parameters.collect(), self.sources(i))
        };
        Graph::of_layers(self.layers.iter().enumerate().map(layer).collect())
    }

    /// The layers as JSON: `[{"operation": 3, "kind": .., "parameters": {..}, "reads": [0, 1]}]`.
    pub fn to_json(&self) -> serde_json::Value {
        let layers = self.layers.iter().enumerate().map(|(i, layer)| {
            let LayerOperation { kind, parameters } = self.operation(layer);
            let values = parameters.iter().map(|(name, value)| {
                let value = match value {
                    study::Constant::Text(text) => serde_json::json!(text),
                    study::Constant::Int(n) => serde_json::json!(n),
                    study::Constant::Float(x) => serde_json::json!(x),
                };
                (name.clone(), value)
            });
            let values: serde_json::Map<String, serde_json::Value> = values.collect();
            serde_json::json!({
                "operation": layer.operation,
                "kind": kind,
                "parameters": values,
                "reads": self.sources(i),
            })
        });
        serde_json::Value::Array(layers.collect())
    }

    /// What the network costs, as far as its operations are known: those of Katib's own trial image (`convolution`,
    /// `separable_convolution`, `depthwise_convolution`, `reduction`), by their parameters `filter_size`, `num_filter`,
    /// `stride`, `depth_multiplier` and `pool_size`. What a layer reads is put side by side, brought to the size of the
    /// layer right before it; a dense layer follows a mean over all pixels. `None` for other operations or inputs.
    pub fn cost(&self) -> Option<Cost> {
        let size = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
        let [height, width, channels] = self.network.input_sizes()[..] else { return None };
        let input = Shape { height: size(height)?, width: size(width)?, channels: size(channels)? };
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.layers.len());
        let mut cost = Cost::default();
        for (i, layer) in self.layers.iter().enumerate() {
            let before = shapes.last().copied().unwrap_or(input);
            let channels = if i == 0 {
                input.channels
            } else {
                self.sources(i).iter().map(|from| shapes[*from].channels).fold(0, u64::saturating_add)
            };
            let (shape, its) = layer_cost(self.operation(layer), Shape { channels, ..before })?;
            cost = cost.plus(its);
            shapes.push(shape);
        }
        let classes: Vec<u64> =
            self.network.output_sizes().iter().copied().map(size).collect::<Option<_>>()?;
        let classes = product(&classes);
        Some(cost.plus(dense(shapes.last()?.channels, classes)))
    }
}

/// The shape after a layer, and what the layer costs.
fn layer_cost(operation: &LayerOperation, shape: Shape) -> Option<(Shape, Cost)> {
    let number = |name: &str, default: u64| match operation.parameters.iter().find(|(known, _)| known == name)
    {
        None => Some(default),
        Some((_, value)) => value.number().filter(|x| *x >= 1.0 && x.fract() == 0.0).map(|x| x as u64),
    };
    let bias = |channels: u64| Cost { parameters: channels, ..Cost::default() };
    let (from, kernel) = (shape.channels, number("filter_size", 3)?);
    let after = shape.strided(number("stride", 1)?);
    let (filters, wide) = (number("num_filter", from)?, product(&[from, number("depth_multiplier", 1)?]));
    let pixels = after.pixels();
    match operation.kind.as_str() {
        "convolution" => {
            let cost = convolution(kernel, from, filters, 1, pixels).plus(bias(filters));
            Some((Shape { channels: filters, ..after }, cost))
        }
        "separable_convolution" => {
            let depthwise = convolution(kernel, from, wide, from, pixels);
            let cost = depthwise.plus(convolution(1, wide, filters, 1, pixels)).plus(bias(filters));
            Some((Shape { channels: filters, ..after }, cost))
        }
        "depthwise_convolution" => {
            let cost = convolution(kernel, from, wide, from, pixels).plus(bias(wide));
            Some((Shape { channels: wide, ..after }, cost))
        }
        "reduction" => Some((shape.strided(number("pool_size", 2)?), Cost { layers: 1, ..Cost::default() })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use study::{Constant, Value};

    use super::*;

    fn operation(kind: &str, parameters: &[(&str, &str)]) -> LayerOperation {
        let parameters =
            parameters.iter().map(|(name, text)| ((*name).to_owned(), Constant::Text((*text).to_owned())));
        LayerOperation { kind: kind.into(), parameters: parameters.collect() }
    }

    fn chains() -> Chains {
        let conv = operation("convolution", &[("filter_size", "3"), ("num_filter", "8"), ("stride", "1")]);
        let operations = vec![
            conv.clone(),
            operation(
                "separable_convolution",
                &[("filter_size", "5"), ("num_filter", "16"), ("stride", "2")],
            ),
            operation("reduction", &[("reduction_type", "max_pooling"), ("pool_size", "2")]),
            conv,
        ];
        let network = Network::new(3, vec![32, 32, 3], vec![10], operations).unwrap();
        Chains::new(&Space::chain(network).unwrap()).unwrap()
    }

    fn point(numbers: &[usize]) -> Assignment {
        Assignment(numbers.iter().map(|i| Some(Value::Choice(*i))).collect())
    }

    /// Convolution 3 -> 8: 9 * 3 * 8 + 8 = 224, on 1,024 pixels 216 each. Reduction to 16 x 16. Separable from the 8 of
    /// the reduction and the 8 of the first layer: 25 * 16 + 16 * 16 + 16 = 672, on 64 pixels 656 each. Classes: 170.
    #[test]
    fn a_chain_is_counted_by_hand() {
        let chains = chains();
        let chain = chains.chain(&point(&[0, 2, 0, 1, 1, 0])).unwrap_or_else(|| panic!());
        let cost = chain.cost().unwrap();
        assert_eq!(cost.parameters, 224 + 672 + 170);
        assert_eq!(cost.multiply_adds, 216 * 1024 + 656 * 64 + 160);
        assert_eq!(cost.layers, 1 + 1 + 2 + 1);
        // The layer right before is read once, whether it is named or not.
        let named = chains.chain(&point(&[0, 2, 1, 1, 1, 1])).unwrap_or_else(|| panic!());
        assert_eq!(named.cost(), Some(cost));
    }

    #[test]
    fn a_chain_is_drawn_and_written_down() {
        let chains = chains();
        let chain = chains.chain(&point(&[0, 2, 0, 1, 1, 0])).unwrap_or_else(|| panic!());
        let dot = chain.graph().to_dot();
        for line in ["n0 -> n1;", "n1 -> n2;", "n1 -> n3;", "n2 -> n3;", "n3 -> n4;", "pool_size 2"] {
            assert!(dot.contains(line), "{line}: {dot}");
        }
        let json = chain.to_json();
        assert_eq!(json[2]["reads"], serde_json::json!([0, 1]));
        assert_eq!(json[1]["parameters"]["pool_size"], "2");
    }

    #[test]
    fn operations_listed_twice_are_one() {
        let chains = chains();
        let (a, b) = (point(&[0, 2, 0, 1, 1, 0]), point(&[3, 2, 0, 1, 1, 0]));
        assert_eq!(chains.key(&a), chains.key(&b));
        assert_eq!((chains.distance(&a, &b), chains.features(&a)), (0, chains.features(&b)));
        assert_eq!(chains.distance(&a, &point(&[0, 2, 0, 1, 0, 1])), 2);
    }

    #[test]
    fn sizes_beyond_all_numbers_cost_the_most_there_is() {
        let huge = [("filter_size", "1e15"), ("num_filter", "1e18"), ("depth_multiplier", "1e18")];
        for kind in ["convolution", "separable_convolution", "depthwise_convolution"] {
            let network = Network::new(2, vec![i64::MAX; 3], vec![i64::MAX; 2], vec![operation(kind, &huge)]);
            let chains = Chains::new(&Space::chain(network.unwrap()).unwrap()).unwrap();
            let cost = chains.chain(&point(&[0, 0, 1])).unwrap().cost().unwrap();
            assert_eq!(cost.multiply_adds, u64::MAX, "{kind}");
        }
    }
}
