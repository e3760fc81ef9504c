//! Chains of layers with skip connections: the child networks of Katib's ENAS.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::digits::CLASSES;
use crate::operation;
use crate::tape::{Id, Shape, Tape};

/// A child network.
pub(crate) struct Chain {
    input: Shape,
    layers: Vec<Layer>,
}

struct Layer {
    kind: Kind,
    /// Layers that it reads beside the one right before it.
    skips: Vec<usize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Convolution { kernel: usize, filters: usize, stride: usize },
    Separable { kernel: usize, filters: usize, stride: usize, multiplier: usize },
    Depthwise { kernel: usize, stride: usize, multiplier: usize },
    Reduction { largest: bool, pool: usize },
}

/// Largest number of any kind: what is beyond it is a mistake, or needs another machine.
const MAX: usize = 1024;
/// Longest side of a picture.
const MAX_SIDE: usize = 64;

/// JSON with single quotes, as Katib gives it.
pub(crate) fn json(option: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(&text.replace('\'', "\""))
        .map_err(|error| format!("{option} is `{text}`, which is no JSON with single quotes: {error}"))
}

impl Chain {
    /// The network of Katib's two assignments.
    pub(crate) fn parse(architecture: &str, config: &str) -> Result<Self, String> {
        let architecture = json("--architecture", architecture)?;
        let config = json("--nn_config", config)?;
        let input = input(&config["input_sizes"])?;
        if config["output_sizes"] != serde_json::json!([CLASSES]) {
            let given = &config["output_sizes"];
            return Err(format!(
                "--nn_config: output_sizes {given} make no network here; digits are [{CLASSES}] classes"
            ));
        }
        let kinds = config["embedding"].as_object().ok_or("--nn_config: embedding is missing")?;
        let kinds: BTreeMap<&str, Kind> = kinds
            .iter()
            .map(|(id, operation)| Ok((id.as_str(), kind(id, operation)?)))
            .collect::<Result<_, String>>()?;
        let layers = architecture.as_array().filter(|layers| !layers.is_empty());
        let layers = layers.ok_or("--architecture is no list of layers")?;
        if config["num_layers"].as_u64() != Some(layers.len() as u64) {
            let (has, wants) = (layers.len(), &config["num_layers"]);
            return Err(format!("--architecture has {has} layers and --nn_config says num_layers {wants}"));
        }
        let layers = layers.iter().enumerate().map(|(i, written)| layer(i, written, &kinds));
        Ok(Self { input, layers: layers.collect::<Result<_, String>>()? })
    }

    /// What a picture is to be.
    pub(crate) fn input(&self) -> Shape {
        self.input
    }

    /// The classes' values.
    pub(crate) fn network(&self, tape: &mut Tape, picture: Id) -> Id {
        let mut values: Vec<Id> = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let before = values.last().copied().unwrap_or(picture);
            let side = tape.shape(before).side;
            // The layer right before it is read once, whether it is named or not.
            let mut reads: Vec<Id> =
                layer.skips.iter().filter(|from| **from + 1 < i).map(|from| values[*from]).collect();
            for read in &mut reads {
                let stride = tape.shape(*read).side.div_ceil(side);
                if stride > 1 {
                    *read = tape.mean(*read, stride, stride);
                }
            }
            reads.push(before);
            let x = if reads.len() == 1 { before } else { tape.concat(&reads) };
            values.push(layer.kind.on(tape, &format!("layer{}", i + 1), x, i > 0));
        }
        let last = values.last().copied().unwrap_or(picture);
        let last = tape.relu(last);
        operation::classes(tape, last, CLASSES)
    }
}

impl Kind {
    /// The layer on what it reads; ReLU comes first unless that is the picture.
    fn on(self, tape: &mut Tape, name: &str, x: Id, after_others: bool) -> Id {
        let channels = tape.shape(x).channels;
        let depthwise = format!("{name}.depthwise");
        match self {
            Self::Reduction { largest: true, pool } => return tape.largest(x, pool, pool),
            Self::Reduction { largest: false, pool } => return tape.mean(x, pool, pool),
            _ => {}
        }
        let x = if after_others { tape.relu(x) } else { x };
        let x = match self {
            Self::Convolution { kernel, filters, stride } => {
                tape.convolution(name, x, filters, 1, (kernel, stride, 1))
            }
            Self::Separable { kernel, filters, stride, multiplier } => {
                let wide = channels * multiplier;
                let x = tape.convolution(&depthwise, x, wide, channels, (kernel, stride, 1));
                tape.convolution(name, x, filters, 1, (1, 1, 1))
            }
            Self::Depthwise { kernel, stride, multiplier } => {
                tape.convolution(&depthwise, x, channels * multiplier, channels, (kernel, stride, 1))
            }
            Self::Reduction { .. } => x,
        };
        tape.norm(name, x)
    }
}

fn input(sizes: &Value) -> Result<Shape, String> {
    let wrong = || {
        format!(
            "--nn_config: input_sizes {sizes} make no network; they are [rows, columns, channels], as many rows as \
             columns and at most {MAX_SIDE}"
        )
    };
    let sizes: Option<Vec<usize>> =
        sizes.as_array().and_then(|all| all.iter().map(|n| Some(n.as_u64()? as usize)).collect());
    match sizes.as_deref() {
        Some([rows, columns, channels])
            if rows == columns && (1..=MAX_SIDE).contains(rows) && (1..=MAX).contains(channels) =>
        {
            Ok(Shape { channels: *channels, side: *rows })
        }
        _ => Err(wrong()),
    }
}

fn layer(i: usize, written: &Value, kinds: &BTreeMap<&str, Kind>) -> Result<Layer, String> {
    let number = i + 1;
    let numbers = written.as_array().filter(|numbers| numbers.len() == number).ok_or_else(|| {
        format!("--architecture: layer {number} is {written}; it is its operation and {i} times 0 or 1")
    })?;
    let kind = kinds.get(numbers[0].to_string().as_str()).copied().ok_or_else(|| {
        format!("--architecture: layer {number} is operation {}, which --nn_config does not have", numbers[0])
    })?;
    let mut skips = Vec::new();
    for (from, bit) in numbers[1..].iter().enumerate() {
        match bit.as_u64() {
            Some(0) => {}
            Some(1) => skips.push(from),
            _ => return Err(format!("--architecture: layer {number} has {bit} where 0 or 1 is meant")),
        }
    }
    Ok(Layer { kind, skips })
}

fn kind(id: &str, operation: &Value) -> Result<Kind, String> {
    // Katib has numbers as they are and numbers as texts.
    let number = |name: &str, default: Option<usize>| {
        let value = &operation["opt_params"][name];
        let read = match value {
            Value::Null => default,
            Value::String(text) => text.parse().ok(),
            value => value.as_u64().map(|n| n as usize),
        };
        read.filter(|n| (1..=MAX).contains(n)).ok_or_else(|| {
            format!("--nn_config: operation {id} has {name} {value}; it is a whole number from 1 to {MAX}")
        })
    };
    Ok(match operation["opt_type"].as_str().unwrap_or_default() {
        "convolution" => Kind::Convolution {
            kernel: number("filter_size", None)?,
            filters: number("num_filter", None)?,
            stride: number("stride", Some(1))?,
        },
        "separable_convolution" => Kind::Separable {
            kernel: number("filter_size", None)?,
            filters: number("num_filter", None)?,
            stride: number("stride", Some(1))?,
            multiplier: number("depth_multiplier", Some(1))?,
        },
        "depthwise_convolution" => Kind::Depthwise {
            kernel: number("filter_size", None)?,
            stride: number("stride", Some(1))?,
            multiplier: number("depth_multiplier", Some(1))?,
        },
        "reduction" => Kind::Reduction {
            largest: match &operation["opt_params"]["reduction_type"] {
                Value::String(text) if text == "max_pooling" => true,
                Value::String(text) if text == "avg_pooling" => false,
                other => {
                    return Err(format!(
                        "--nn_config: operation {id} has reduction_type {other}; there are max_pooling and avg_pooling"
                    ));
                }
            },
            pool: number("pool_size", Some(2))?,
        },
        other => {
            return Err(format!(
                "--nn_config: operation {id} is `{other}`; there are convolution, separable_convolution, \
                 depthwise_convolution and reduction"
            ));
        }
    })
}
