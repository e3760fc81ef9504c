//! Networks of a fixed architecture, and what is left of them: weights as safetensors, with all that is needed to build
//! the network again, and a picture with the answer to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cell::Cell;
use crate::chain::Chain;
use crate::digits::{Task, fitted, shipped};
use crate::genotype::{Genotype, INPUT, Sizes};
use crate::plan::LANES;
use crate::serve;
use crate::supernet::softmax;
use crate::tape::{Id, Mode, Shape, Tape};

/// An architecture, and how it was written.
pub(crate) enum Architecture {
    Chain { chain: Chain, written: String, config: String },
    Genotype { genotype: Genotype, sizes: Sizes },
    Cell { cell: Cell, written: String },
}

const FILE: &str = "model.safetensors";
/// What statistics are called beside the weights of the same name.
const STATISTICS: &str = ".statistics";

impl Architecture {
    pub(crate) fn chain(written: &str, config: &str) -> Result<Self, String> {
        let chain = Chain::parse(written, config)?;
        Ok(Self::Chain { chain, written: written.into(), config: config.into() })
    }

    pub(crate) fn cell(written: &str) -> Result<Self, String> {
        Ok(Self::Cell { cell: Cell::parse(written)?, written: written.into() })
    }

    /// What a picture is to be.
    pub(crate) fn input(&self) -> Shape {
        match self {
            Self::Chain { chain, .. } => chain.input(),
            _ => INPUT,
        }
    }

    /// What it is trained on: a cell of the table on the table's task.
    pub(crate) fn task(&self) -> Task {
        if matches!(self, Self::Cell { .. }) { Task::Few } else { Task::Whole }
    }

    /// The classes' values.
    pub(crate) fn network(&self, tape: &mut Tape, picture: Id) -> Id {
        match self {
            Self::Chain { chain, .. } => chain.network(tape, picture),
            Self::Genotype { genotype, sizes } => genotype.network(*sizes, tape, picture),
            Self::Cell { cell, .. } => cell.network(tape, picture),
        }
    }

    /// The chance of each class for a picture as it is shipped, pixels from 0 to 1.
    pub(crate) fn chances(&self, tape: &mut Tape, pixels: &[f64]) -> Vec<f64> {
        let pixels: Vec<f32> = pixels.iter().map(|x| *x as f32).collect();
        let picture = fitted(&pixels, self.input());
        let lanes = picture.iter().flat_map(|x| [*x; LANES]).collect();
        let picture = tape.begin(Mode::Test, self.input(), lanes);
        let values = self.network(tape, picture);
        softmax(&tape.first(values)).into_iter().map(f64::from).collect()
    }

    fn described(&self) -> BTreeMap<&str, String> {
        match self {
            Self::Chain { written, config, .. } => {
                [("architecture", written.clone()), ("nn_config", config.clone())].into()
            }
            Self::Genotype { genotype, sizes } => {
                let Sizes { layers, nodes, channels, stem } = sizes;
                let sizes = json!([layers, nodes, channels, stem]).to_string();
                [("genotype", genotype.to_string()), ("sizes", sizes)].into()
            }
            Self::Cell { written, .. } => [("cell", written.clone())].into(),
        }
    }

    fn from_description(described: &Value) -> Result<Self, String> {
        let text = |name: &str| described[name].as_str();
        if let (Some(architecture), Some(config)) = (text("architecture"), text("nn_config")) {
            return Self::chain(architecture, config);
        }
        if let Some(cell) = text("cell") {
            return Self::cell(cell);
        }
        let sizes = text("sizes").and_then(|sizes| serde_json::from_str::<[usize; 4]>(sizes).ok());
        match (text("genotype"), sizes) {
            (Some(genotype), Some([layers, nodes, channels, stem])) => Ok(Self::Genotype {
                genotype: Genotype::parse(genotype)?,
                sizes: Sizes { layers, nodes, channels, stem },
            }),
            _ => Err("it does not say which architecture it is of".into()),
        }
    }
}

/// Writes a network's weights into a folder, as a model that Cairn knows the format of.
pub(crate) fn save(folder: &Path, architecture: &Architecture, tape: &mut Tape) -> Result<(), String> {
    let weights = tape.weights.named.tensors().map(|(name, shape, values)| (name.to_owned(), shape, values));
    let statistics = tape.statistics.tensors();
    let statistics = statistics.map(|(name, shape, values)| (format!("{name}{STATISTICS}"), shape, values));
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".into(), json!(architecture.described()));
    for (name, shape, values) in weights.chain(statistics) {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    let (_, pixels) = shipped().next().ok_or("there is no picture")??;
    let pixels: Vec<f64> = pixels.into_iter().map(f64::from).collect();
    let chances = architecture.chances(tape, &pixels);
    fs::write(folder.join(FILE), bytes)
        .and_then(|()| serve::describe(folder, "safetensors", &pixels, &chances))
        .map_err(|error| format!("the model cannot be written into {}: {error}", folder.display()))
}

/// Reads such a folder.
pub(crate) fn load(folder: &Path) -> Result<(Architecture, Tape), String> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    read(&bytes).map_err(|problem| format!("{} is no model of this program: {problem}", path.display()))
}

fn read(bytes: &[u8]) -> Result<(Architecture, Tape), String> {
    let (n, rest) = bytes.split_first_chunk().ok_or("it is too short")?;
    let (header, data) =
        rest.split_at_checked(u64::from_le_bytes(*n) as usize).ok_or("its header is too short")?;
    let header: serde_json::Map<String, Value> =
        serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let architecture = Architecture::from_description(&header["__metadata__"])?;
    let mut tape = Tape::new(0);
    for (name, tensor) in header.iter().filter(|(name, _)| *name != "__metadata__") {
        let wrong = || format!("`{name}` is no tensor");
        let list = |field: &str| serde_json::from_value::<Vec<usize>>(tensor[field].clone()).ok();
        let shape = list("shape").ok_or_else(wrong)?;
        let place = list("data_offsets").filter(|ends| ends.len() == 2).ok_or_else(wrong)?;
        let values = data.get(place[0]..place[1]).ok_or_else(wrong)?;
        let values: Vec<f32> = values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if values.len() != shape.iter().product::<usize>() {
            return Err(wrong());
        }
        match name.strip_suffix(STATISTICS) {
            Some(name) => tape.statistics.place(name, &shape, |i| values[i]),
            None => tape.weights.named.place(name, &shape, |i| values[i]),
        };
    }
    Ok((architecture, tape))
}
