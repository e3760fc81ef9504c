//! One trial of an architecture search on pictures of digits, by the arguments that it gets:
//!
//! | arguments | what is done |
//! |---|---|
//! | `--architecture --nn_config` | trains the child network of an ENAS search, as Katib passes it |
//! | `--algorithm-settings --search-space --num-layers` | searches a supernet as DARTS, as Katib passes it |
//! | `--supernet=nas-bench-201` | searches the supernet of NAS-Bench-201's cells; its few settings may be given as above |
//! | `--cell=TEXT`, or `--cells=FILE --number=LINE` | trains the network of one of its cells |
//! | `--genotype=TEXT --num-layers` | trains the network of two cells of DARTS |
//! | `--model=FOLDER` | measures a network that one of these has left in `CAIRN_MODEL_DIR` |
//! | `serve --port=P --model=FOLDER --name=NAME` | serves it as the example `digits` does |
//!
//! How a supernet is searched: `--order=second|first`, `--variant=darts|fair|sampled`, `--select=largest|perturbation`,
//! `--stop=never|eigenvalue`; `--retrain-epochs=N` trains what it has found from scratch.

mod arguments;
mod cell;
mod chain;
mod digits;
mod genotype;
mod model;
mod operation;
mod plan;
mod random;
mod remedy;
mod search;
#[path = "../digits/serve.rs"]
mod serve;
mod supernet;
mod tape;
mod train;
mod weights;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use arguments::Arguments;
use digits::{Digits, Task};
use genotype::{Genotype, INPUT};
use model::Architecture;
use operation::NAS_BENCH_201;
use search::Search;
use supernet::{Found, Supernet};
use tape::Tape;
use train::{Recipe, accuracy, say, train};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let done = match words.next_if(|word| word == "serve") {
        Some(_) => serve(words),
        None => Arguments::read(words).and_then(|arguments| run(&arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let said = writeln!(std::io::stderr(), "error: {problem}");
            ExitCode::from(if said.is_ok() { 1 } else { 2 })
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    if let Some(folder) = arguments.get("model") {
        return measure(Path::new(folder));
    }
    if arguments.get("search-space").is_some() || arguments.get("supernet").is_some() {
        return search(arguments);
    }
    let architecture = architecture(arguments)?;
    let (epochs, rate, batch) = recipe(&architecture);
    let recipe = Recipe {
        epochs: arguments.number("num_epochs", epochs, 1, 100_000)?,
        batch: arguments.number("batch", batch, 1, 100_000)?,
        rate: arguments.number("rate", rate, 0.0, 1e6)?,
        decay: arguments.number("decay", 5e-4, 0.0, 1.0)?,
        seed: arguments.number("seed", 1, 0, u64::MAX)?,
    };
    train_from_scratch(&architecture, recipe)
}

/// Epochs, learning rate and batch, if nothing is said. Those of a cell are the table's.
fn recipe(architecture: &Architecture) -> (usize, f32, usize) {
    if architecture.task() == Task::Few { (8, 0.2, 16) } else { (10, 0.1, 32) }
}

fn architecture(arguments: &Arguments) -> Result<Architecture, String> {
    if arguments.get("architecture").is_some() || arguments.get("nn_config").is_some() {
        return Architecture::chain(arguments.wanted("architecture")?, arguments.wanted("nn_config")?);
    }
    if let Some(genotype) = arguments.get("genotype") {
        let genotype = Genotype::parse(genotype)?;
        let given = json!({
            "num_nodes": genotype.normal.len(),
            "init_channels": arguments.number("init-channels", 8, 1, 1024)?,
            "stem_multiplier": arguments.number("stem-multiplier", 3, 1, 16)?,
        });
        return Ok(Architecture::Genotype { sizes: arguments.sizes(&given)?, genotype });
    }
    if let Some(file) = arguments.get("cells") {
        let text = std::fs::read_to_string(file).map_err(|error| format!("--cells {file}: {error}"))?;
        arguments.wanted("number")?;
        let number = arguments.number("number", 1, 1, text.lines().count())?;
        return Architecture::cell(text.lines().nth(number - 1).unwrap_or_default());
    }
    let cell = arguments.get("cell").ok_or(
        "nothing to do: give --architecture and --nn_config, or --algorithm-settings, --search-space and --num-layers, or \
         --supernet, --genotype, --cell or --model",
    )?;
    Architecture::cell(cell)
}

fn search(arguments: &Arguments) -> Result<(), String> {
    let (supernet, learning, task) = match arguments.get("supernet") {
        Some("nas-bench-201") => {
            let given = arguments.get("algorithm-settings").map(|_| arguments.learning());
            let all = NAS_BENCH_201.map(str::to_owned).to_vec();
            let some = arguments.get("search-space").map(|_| arguments.operations());
            let supernet = Supernet::complete(some.transpose()?.unwrap_or(all))?;
            (supernet, given.transpose()?.unwrap_or(Value::Null), Task::Few)
        }
        Some(other) => return Err(format!("--supernet is `{other}`; there is nas-bench-201")),
        None => {
            let learning = arguments.learning()?;
            let supernet = Supernet::pairs(arguments.operations()?, arguments.sizes(&learning)?)?;
            (supernet, learning, Task::Whole)
        }
    };
    let settings = arguments.search(&learning)?;
    let digits = Digits::new(task, INPUT)?;
    let found = Search::new(&supernet, &settings, &digits).run()?;
    match &found {
        Found::Genotype(_, genotype) => say(&format!("Best-Genotype={genotype}"))?,
        Found::Cell(cell) => say(&format!("Best-Cell={cell}"))?,
    }
    let epochs = arguments.number("retrain-epochs", 0, 0, 100_000)?;
    if epochs == 0 {
        return Ok(());
    }
    let architecture = match found {
        Found::Genotype(sizes, genotype) => Architecture::Genotype { genotype, sizes },
        Found::Cell(cell) => Architecture::cell(&cell)?,
    };
    let (_, rate, batch) = recipe(&architecture);
    train_from_scratch(&architecture, Recipe { epochs, batch, rate, decay: 5e-4, seed: settings.seed })
}

/// Trains a network, prints how well it does after each epoch, and leaves it where Cairn looks for a model.
fn train_from_scratch(architecture: &Architecture, recipe: Recipe) -> Result<(), String> {
    let digits = Digits::new(architecture.task(), architecture.input())?;
    let mut tape = Tape::new(recipe.seed);
    let network = |tape: &mut Tape, picture| architecture.network(tape, picture);
    train(&mut tape, &network, &digits, recipe, |epoch, scores| {
        say(&format!(
            "epoch={epoch} Training-Accuracy={:.5} Validation-Accuracy={:.5} Test-Accuracy={:.5}",
            scores.train, scores.validation, scores.test
        ))
    })?;
    // Weights are made when they are first used, so these are all.
    say(&format!("Parameters={}", tape.weights.named.values.len()))?;
    match std::env::var_os("CAIRN_MODEL_DIR") {
        Some(folder) => model::save(Path::new(&folder), architecture, &mut tape),
        None => Ok(()),
    }
}

/// Serves a network that was saved.
fn serve(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let served = serve::serve(arguments, |folder| {
        let (architecture, tape) = model::load(folder)?;
        let tape = Mutex::new(tape);
        Ok(move |pixels: &[f64]| {
            let mut tape = tape.lock().unwrap_or_else(PoisonError::into_inner);
            architecture.chances(&mut tape, pixels)
        })
    });
    served.map_err(|error| error.to_string())
}

/// Says how well a network does that was saved.
fn measure(folder: &Path) -> Result<(), String> {
    let (architecture, mut tape) = model::load(folder)?;
    let digits = Digits::new(architecture.task(), architecture.input())?;
    let network = |tape: &mut Tape, picture| architecture.network(tape, picture);
    let test = accuracy(&mut tape, &network, &digits.test);
    say(&format!("Test-Accuracy={test:.5}"))
}
