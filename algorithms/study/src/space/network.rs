//! Spaces of networks: chains of layers with skip connections, and the one supernet of a one-shot search.
//!
//! Their trials are not given a text for each parameter but what Katib's ENAS and DARTS services give theirs, to the
//! letter: `architecture` and `nn_config`, or `algorithm-settings`, `search-space` and `num-layers`. JSON in them has
//! single quotes in place of double ones.

use serde::{Deserialize, Serialize};

use super::{Domain, Parameter, SpaceError};
use crate::{Assignment, Value};

/// Most layers of a chain: a space with skip connections has a parameter for each pair of layers.
const MAX_LAYERS: usize = 100;
/// Most kinds of layers, parameters of the operations multiplied out.
const MAX_OPERATIONS: usize = 10_000;
/// Names of what the trials of a chain are given: the architecture, and what its numbers mean.
pub const CHAIN_TEXTS: [&str; 2] = ["architecture", "nn_config"];
/// Names of what the trials of a one-shot search are given.
pub const ONE_SHOT_TEXTS: [&str; 3] = ["algorithm-settings", "search-space", "num-layers"];

/// An operation as a user writes it: a kind of layer, and the values its parameters may have.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationSpec {
    /// Such as `convolution`.
    pub kind: String,
    /// Names and domains. A domain whose min is above its max has no values.
    pub parameters: Vec<(String, Domain)>,
}

/// What a user writes of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkSpec {
    /// Number of layers.
    pub n_layers: usize,
    /// Shape of the input, such as height, width and channels.
    pub input_sizes: Vec<i64>,
    /// Shape of the output, such as the number of classes.
    pub output_sizes: Vec<i64>,
    /// What a layer may be.
    pub operations: Vec<OperationSpec>,
}

/// A value that a parameter of an operation has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Constant {
    /// A whole number.
    Int(i64),
    /// Another number, finite.
    Float(f64),
    /// A name, or a number of a list, as written.
    Text(String),
}

impl Constant {
    /// The number that it is or reads as.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            Self::Text(text) => text.trim().parse().ok().filter(|x: &f64| x.is_finite()),
        }
    }
}

/// One thing that a layer may be; its number is its place among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerOperation {
    /// Such as `convolution`.
    pub kind: String,
    /// Names and values, in the user's order.
    pub parameters: Vec<(String, Constant)>,
}

/// A chain of layers, each of which is one operation and may read from any layer before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    n_layers: usize,
    input_sizes: Vec<i64>,
    output_sizes: Vec<i64>,
    operations: Vec<LayerOperation>,
}

impl NetworkSpec {
    /// Kinds of the operations that have no values: some parameter's min is above its max, or its list is empty.
    pub fn empty_operations(&self) -> impl Iterator<Item = &str> {
        let is_empty =
            |operation: &&OperationSpec| operation.parameters.iter().any(|(_, d)| n_values(d) == 0);
        self.operations.iter().filter(is_empty).map(|operation| operation.kind.as_str())
    }

    /// The chain of layers, the parameters of each operation multiplied out, the first one slowest.
    ///
    /// # Errors
    /// If there is no layer, nothing that a layer could be, or too much of either.
    pub fn chain(&self) -> Result<Network, SpaceError> {
        let refuse = |problem: String| Err(SpaceError::Network(problem));
        if !(1..=MAX_LAYERS).contains(&self.n_layers) {
            return refuse(format!("it has {} layers; from 1 to {MAX_LAYERS} are possible", self.n_layers));
        }
        let mut operations = Vec::new();
        for operation in &self.operations {
            if let Some((name, _)) =
                operation.parameters.iter().find(|(_, domain)| n_values(domain) == u64::MAX)
            {
                return refuse(format!("`{name}` of operation `{}` needs a step", operation.kind));
            }
            let size = operation.parameters.iter().map(|(_, domain)| n_values(domain));
            let size = size.fold(1, u64::saturating_mul);
            if size > (MAX_OPERATIONS - operations.len()) as u64 {
                return refuse(format!(
                    "its operations are more than {MAX_OPERATIONS} with their parameters multiplied out; narrow `{}`",
                    operation.kind
                ));
            }
            operations.extend((0..size).map(|k| combination(operation, k)));
        }
        if operations.is_empty() {
            return refuse("no operation is left that a layer could be".into());
        }
        Ok(Network {
            n_layers: self.n_layers,
            input_sizes: self.input_sizes.clone(),
            output_sizes: self.output_sizes.clone(),
            operations,
        })
    }
}

/// How many values a parameter of an operation has; `u64::MAX` for a continuum.
fn n_values(domain: &Domain) -> u64 {
    match domain {
        Domain::Int { min, max, .. } if min > max => 0,
        Domain::Float { min, max, .. } if min > max => 0,
        domain => domain.cardinality().unwrap_or(u64::MAX),
    }
}

/// The `k`-th combination of an operation's parameters.
fn combination(operation: &OperationSpec, mut k: u64) -> LayerOperation {
    let mut parameters = Vec::with_capacity(operation.parameters.len());
    for (name, domain) in operation.parameters.iter().rev() {
        let n = n_values(domain).max(1);
        let value = domain.nth(k % n);
        k /= n;
        let constant = match value {
            Value::Int(n) => Constant::Int(n),
            Value::Float(x) => Constant::Float(x),
            Value::Choice(_) => Constant::Text(domain.text(value)),
        };
        parameters.push((name.clone(), constant));
    }
    parameters.reverse();
    LayerOperation { kind: operation.kind.clone(), parameters }
}

impl Network {
    /// A network of these operations.
    ///
    /// # Errors
    /// As [`NetworkSpec::chain`].
    pub fn new(
        n_layers: usize,
        input_sizes: Vec<i64>,
        output_sizes: Vec<i64>,
        operations: Vec<LayerOperation>,
    ) -> Result<Self, SpaceError> {
        let counts = 1..=MAX_LAYERS;
        if !counts.contains(&n_layers) || operations.is_empty() || operations.len() > MAX_OPERATIONS {
            let (layers, operations) = (n_layers, operations.len());
            let problem = format!(
                "it has {layers} layers of {operations} operations; from 1 to {MAX_LAYERS} of 1 to {MAX_OPERATIONS} are possible"
            );
            return Err(SpaceError::Network(problem));
        }
        Ok(Self { n_layers, input_sizes, output_sizes, operations })
    }

    /// Number of layers, at least 1.
    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    /// Shape of the input.
    pub fn input_sizes(&self) -> &[i64] {
        &self.input_sizes
    }

    /// Shape of the output.
    pub fn output_sizes(&self) -> &[i64] {
        &self.output_sizes
    }

    /// What a layer may be, never empty.
    pub fn operations(&self) -> &[LayerOperation] {
        &self.operations
    }

    /// Position of the parameter that says what a layer is; those that say from which earlier layers it reads beside the
    /// one right before it follow. Layer `i`, counted from 0, has `i` of them.
    pub fn position(layer: usize) -> usize {
        layer * (layer + 1) / 2
    }

    /// One parameter for what each layer is, and one for each layer that it may skip to.
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let categorical = |name: String, n: usize| Parameter {
            name,
            domain: Domain::Categorical { choices: (0..n).map(|i| i.to_string()).collect(), ordered: false },
            when: Vec::new(),
            default: None,
            prior: None,
        };
        let mut parameters = Vec::with_capacity(Self::position(self.n_layers));
        for layer in 0..self.n_layers {
            parameters.push(categorical(format!("layer_{}", layer + 1), self.operations.len()));
            parameters
                .extend((0..layer).map(|from| categorical(format!("skip_{}_{}", from + 1, layer + 1), 2)));
        }
        parameters
    }

    /// What a trial of an assignment is given.
    pub(super) fn texts(&self, assignment: &Assignment) -> Vec<(String, String)> {
        let Some(layers) = self.layers(assignment) else { return Vec::new() };
        let [architecture, config] = CHAIN_TEXTS;
        vec![(architecture.into(), format!("{layers:?}")), (config.into(), self.config_text(&layers))]
    }

    /// Numbers of each layer: its operation, and 1 or 0 for each earlier layer. `None` if the assignment is of another space.
    pub fn layers(&self, assignment: &Assignment) -> Option<Vec<Vec<usize>>> {
        let number = |position| match assignment.get(position)? {
            Value::Choice(i) => Some(i),
            Value::Int(_) | Value::Float(_) => None,
        };
        let layer = |i| (0..=i).map(|k| number(Self::position(i) + k)).collect::<Option<Vec<usize>>>();
        let layers = (0..self.n_layers).map(layer).collect::<Option<Vec<_>>>()?;
        layers.iter().all(|layer| layer[0] < self.operations.len()).then_some(layers)
    }

    /// The assignment of an architecture as a trial is given it; empty if it is none of this network's.
    pub(super) fn parse(&self, architecture: &str) -> Option<Assignment> {
        let layers = read_architecture(architecture)?;
        let fits = layers.len() == self.n_layers
            && layers.iter().enumerate().all(|(i, layer)| {
                layer.len() == i + 1
                    && layer[0] < self.operations.len()
                    && layer[1..].iter().all(|skip| *skip < 2)
            });
        fits.then(|| Assignment(layers.concat().into_iter().map(|i| Some(Value::Choice(i))).collect()))
    }

    fn config_text(&self, layers: &[Vec<usize>]) -> String {
        let mut used: Vec<usize> = Vec::new();
        for layer in layers {
            if !used.contains(&layer[0]) {
                used.push(layer[0]);
            }
        }
        let embedding = used.iter().map(|id| {
            let LayerOperation { kind, parameters } = &self.operations[*id];
            let parameters = parameters.iter().map(|(name, value)| {
                let value = match value {
                    Constant::Text(text) => quoted(text),
                    Constant::Int(n) => n.to_string(),
                    Constant::Float(x) => float_text(*x),
                };
                format!("{}: {value}", quoted(name))
            });
            let parameters = parameters.collect::<Vec<_>>().join(", ");
            format!(
                "'{id}': {{'opt_id': {id}, 'opt_type': {}, 'opt_params': {{{parameters}}}}}",
                quoted(kind)
            )
        });
        format!(
            "{{'num_layers': {}, 'input_sizes': {:?}, 'output_sizes': {:?}, 'embedding': {{{}}}}}",
            self.n_layers,
            self.input_sizes,
            self.output_sizes,
            embedding.collect::<Vec<_>>().join(", ")
        )
    }
}

/// The lists of a text such as `[[3], [0, 1], [2, 0, 1]]`.
fn read_architecture(text: &str) -> Option<Vec<Vec<usize>>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut layers = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let (list, after) = rest.strip_prefix('[')?.split_once(']')?;
        layers
            .push(list.split(',').map(|number| number.trim().parse().ok()).collect::<Option<Vec<usize>>>()?);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) if !next.trim().is_empty() => next.trim_start(),
            None if after.is_empty() => after,
            Some(_) | None => return None,
        };
    }
    Some(layers)
}

/// What the trials of a one-shot search are given: `settings` over the defaults, the operations of the supernet, and how
/// many layers it has. Numbers of defaults stand bare, what a user wrote is text, `None` is null.
pub(super) fn one_shot(spec: &NetworkSpec, settings: &[(String, String)]) -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> =
        ONE_SHOT_DEFAULTS.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    for (name, text) in settings {
        let text = if text == "None" { "null".to_owned() } else { quoted(text) };
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = text,
            None => all.push((name, text)),
        }
    }
    let settings = all.iter().map(|(name, text)| format!("{}: {text}", quoted(name)));
    let settings = settings.collect::<Vec<_>>().join(", ");
    let operations = spec.operations.iter().flat_map(|operation| match operation.parameters.first() {
        _ if operation.kind == SKIP_CONNECTION => vec![quoted(&operation.kind)],
        Some((_, domain)) => {
            let sizes = (0..n_values(domain).min(MAX_OPERATIONS as u64)).map(|k| domain.text(domain.nth(k)));
            sizes.map(|size| quoted(&format!("{}_{size}x{size}", operation.kind))).collect()
        }
        None => Vec::new(),
    });
    let texts = [
        format!("{{{settings}}}"),
        format!("[{}]", operations.collect::<Vec<_>>().join(", ")),
        spec.n_layers.to_string(),
    ];
    ONE_SHOT_TEXTS.into_iter().zip(texts).collect()
}

/// The operation of a one-shot search that needs no parameters.
pub const SKIP_CONNECTION: &str = "skip_connection";

/// Settings of DARTS with their defaults, as JSON.
pub const ONE_SHOT_DEFAULTS: [(&str, &str); 14] = [
    ("num_epochs", "50"),
    ("w_lr", "0.025"),
    ("w_lr_min", "0.001"),
    ("w_momentum", "0.9"),
    ("w_weight_decay", "0.0003"),
    ("w_grad_clip", "5.0"),
    ("alpha_lr", "0.0003"),
    ("alpha_weight_decay", "0.001"),
    ("batch_size", "128"),
    ("num_workers", "4"),
    ("init_channels", "16"),
    ("print_step", "50"),
    ("num_nodes", "4"),
    ("stem_multiplier", "3"),
];

/// A text as JSON, in ASCII, with every double quote made a single one.
fn quoted(text: &str) -> String {
    let mut json = String::from("'");
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\'"),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            ' '..='~' => json.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| json.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    json.push('\'');
    json
}

/// The text of a number as Python's `repr` gives it: shortest that reads back the same, `3.0`, `0.0325`, `1e-05`.
pub fn float_text(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "nan"
        } else if x > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distribution, Space};

    fn list(items: &[&str]) -> Domain {
        Domain::Categorical { choices: items.iter().map(ToString::to_string).collect(), ordered: false }
    }

    fn int(min: i64, max: i64, step: i64) -> Domain {
        Domain::Int { min, max, step, distribution: Distribution::Uniform }
    }

    fn operation(kind: &str, parameters: &[(&str, Domain)]) -> OperationSpec {
        let parameters = parameters.iter().map(|(name, domain)| ((*name).to_owned(), domain.clone()));
        OperationSpec { kind: kind.into(), parameters: parameters.collect() }
    }

    fn spec() -> NetworkSpec {
        let step = Domain::Float { min: 0.1, max: 0.2, step: Some(0.1), distribution: Distribution::Uniform };
        NetworkSpec {
            n_layers: 3,
            input_sizes: vec![32, 32, 3],
            output_sizes: vec![10],
            operations: vec![
                operation(
                    "convolution",
                    &[
                        ("filter_size", list(&["3", "5"])),
                        ("num_filter", list(&["32", "64"])),
                        ("stride", list(&["1"])),
                    ],
                ),
                operation("reduction", &[("pool_size", int(2, 3, 1)), ("rate", step)]),
            ],
        }
    }

    fn point(numbers: &[usize]) -> Assignment {
        Assignment(numbers.iter().map(|i| Some(Value::Choice(*i))).collect())
    }

    #[test]
    fn operations_are_multiplied_out_with_the_first_parameter_slowest() {
        let network = spec().chain().unwrap();
        let of = |i: usize| {
            format!("{:?}", network.operations()[i].parameters.iter().map(|(_, c)| c).collect::<Vec<_>>())
        };
        assert_eq!(network.operations().len(), 8);
        assert_eq!(of(1), r#"[Text("3"), Text("64"), Text("1")]"#);
        assert_eq!(of(2), r#"[Text("5"), Text("32"), Text("1")]"#);
        assert_eq!(of(5), "[Int(2), Float(0.2)]");
    }

    /// As `json.dumps(...).replace('"', "'")` of Python has it.
    #[test]
    fn a_trial_of_a_chain_is_given_what_katib_gives_it() {
        let space = Space::chain(spec().chain().unwrap()).unwrap();
        assert_eq!(space.parameters().len(), 6);
        let texts = space.texts(&point(&[5, 0, 1, 5, 0, 1]));
        assert_eq!(texts[0], ("architecture".into(), "[[5], [0, 1], [5, 0, 1]]".into()));
        assert_eq!(
            texts[1],
            (
                "nn_config".into(),
                "{'num_layers': 3, 'input_sizes': [32, 32, 3], 'output_sizes': [10], 'embedding': {\
                 '5': {'opt_id': 5, 'opt_type': 'reduction', 'opt_params': {'pool_size': 2, 'rate': 0.2}}, \
                 '0': {'opt_id': 0, 'opt_type': 'convolution', 'opt_params': \
                 {'filter_size': '3', 'num_filter': '32', 'stride': '1'}}}}"
                    .into()
            )
        );
    }

    #[test]
    fn an_architecture_reads_back_and_another_is_none() {
        let space = Space::chain(spec().chain().unwrap()).unwrap();
        let read = |text: &str| space.project([("architecture", text), ("nn_config", "passed over")]);
        assert_eq!(read("[[5], [0, 1], [5, 0, 1]]"), Some(point(&[5, 0, 1, 5, 0, 1])));
        assert_eq!(read("[[5],[0,1],[5,0,1]]"), read("[[5], [0, 1], [5, 0, 1]]"));
        for other in [
            "",
            "[]",
            "[[5], [0, 1]]",
            "[[9], [0, 1], [5, 0, 1]]",
            "[[5], [0, 2], [5, 0, 1]]",
            "[[5], [0], [5, 0, 1]]",
            "[[5], [0, 1], [5, 0, 1],]",
            "[[5] [0, 1], [5, 0, 1]]",
            "[[x], [0, 1], [5, 0, 1]]",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), space);
    }

    #[test]
    fn an_operation_without_values_is_passed_over_and_none_at_all_refused() {
        let mut network = spec();
        network.operations[1].parameters[0].1 = int(3, 2, 1);
        assert_eq!(network.empty_operations().collect::<Vec<_>>(), ["reduction"]);
        assert_eq!(network.chain().unwrap().operations().len(), 4);
        network.operations.remove(0);
        assert!(network.chain().unwrap_err().to_string().contains("no operation is left"));
        network.n_layers = 0;
        assert!(network.chain().unwrap_err().to_string().contains("from 1 to 100"));
        let continuum = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        network = NetworkSpec { operations: vec![operation("drop", &[("rate", continuum)])], ..spec() };
        assert_eq!(
            network.chain().unwrap_err().to_string(),
            "the network: `rate` of operation `drop` needs a step"
        );
        network = NetworkSpec { operations: vec![operation("wide", &[("n", int(0, 20_000, 1))])], ..spec() };
        assert!(network.chain().unwrap_err().to_string().contains("narrow `wide`"));
    }

    /// As `json.dumps(...).replace('"', "'")` of Python has it, too.
    #[test]
    fn trials_of_a_one_shot_search_are_given_what_katib_gives_them() {
        let spec = NetworkSpec {
            n_layers: 8,
            operations: vec![
                operation("separable_convolution", &[("filter_size", list(&["3", "5"]))]),
                operation("skip_connection", &[]),
            ],
            ..NetworkSpec::default()
        };
        let settings = [("num_epochs", "1"), ("batch_size", "None"), ("num_epoch", "7")];
        let settings: Vec<_> = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let space = Space::one_shot(&spec, &settings).unwrap();
        let texts = space.texts(&point(&[0, 0, 0]));
        assert_eq!(
            texts[0].1,
            "{'num_epochs': '1', 'w_lr': 0.025, 'w_lr_min': 0.001, 'w_momentum': 0.9, 'w_weight_decay': 0.0003, \
             'w_grad_clip': 5.0, 'alpha_lr': 0.0003, 'alpha_weight_decay': 0.001, 'batch_size': null, \
             'num_workers': 4, 'init_channels': 16, 'print_step': 50, 'num_nodes': 4, 'stem_multiplier': 3, \
             'num_epoch': '7'}"
        );
        assert_eq!(
            texts[1].1,
            "['separable_convolution_3x3', 'separable_convolution_5x5', 'skip_connection']"
        );
        assert_eq!(texts[2], ("num-layers".into(), "8".into()));
        assert_eq!(quoted("a \"é\" \\"), "'a \\'\\u00e9\\' \\\\'");
    }

    /// Made by `python3 -c 'print([repr(x) for x in (...)])'`.
    #[test]
    fn numbers_print_as_in_python() {
        for (x, text) in [
            (3.0, "3.0"),
            (0.0325, "0.0325"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (0.000_099, "9.9e-05"),
            (1.5e-10, "1.5e-10"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (-2.5e120, "-2.5e+120"),
            (0.0, "0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float_text(x), text);
        }
    }
}
