//! Training a network of fixed architecture from scratch, and measuring it.

use std::io::Write as _;

use crate::digits::{Digits, Set};
use crate::random::Random;
use crate::tape::{Id, Mode, Tape};
use crate::weights::{Descent, cosine};

/// A network: from pictures to the classes' values.
pub(crate) type Network<'a> = &'a dyn Fn(&mut Tape, Id) -> Id;

/// How a network is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) epochs: usize,
    pub(crate) batch: usize,
    pub(crate) rate: f32,
    pub(crate) decay: f32,
    pub(crate) seed: u64,
}

/// How often a network is right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scores {
    pub(crate) train: f32,
    pub(crate) validation: f32,
    pub(crate) test: f32,
}

/// Trains a network, and hands its scores after each epoch to `report`.
pub(crate) fn train(
    tape: &mut Tape,
    network: Network<'_>,
    digits: &Digits,
    recipe: Recipe,
    mut report: impl FnMut(usize, Scores) -> Result<(), String>,
) -> Result<Scores, String> {
    let Recipe { epochs, batch, rate, decay, seed } = recipe;
    let mut descent = Descent { rate, momentum: 0.9, decay, clip: 5.0, velocity: Vec::new() };
    let mut random = Random::new(seed.wrapping_add(1 << 32));
    let mut scores = Scores::default();
    for epoch in 0..epochs {
        descent.rate = cosine(rate, 0.0, epoch, epochs);
        let (mut right, mut seen) = (0, 0);
        for which in digits.train.batches(batch, &mut random) {
            let (pictures, labels) = digits.train.batch(&which);
            let picture = tape.begin(Mode::Learn, digits.train.shape(), pictures);
            let values = network(tape, picture);
            let loss = tape.loss(values, &labels);
            if !loss.is_finite() {
                return Err(format!(
                    "the training has diverged in epoch {} (loss {loss}); a smaller --rate than {rate} helps",
                    epoch + 1
                ));
            }
            right += tape.answers(values).iter().zip(&labels).filter(|(a, b)| a == b).count();
            seen += labels.len();
            tape.back();
            descent.step(&mut tape.weights);
        }
        scores = Scores {
            train: right as f32 / seen as f32,
            validation: accuracy(tape, network, &digits.validation),
            test: accuracy(tape, network, &digits.test),
        };
        report(epoch + 1, scores)?;
    }
    Ok(scores)
}

/// Pictures measured at once.
const AT_ONCE: usize = 16;

/// How often a network is right about a set.
pub(crate) fn accuracy(tape: &mut Tape, network: Network<'_>, set: &Set) -> f32 {
    let order: Vec<usize> = (0..set.labels.len()).collect();
    let mut right = 0;
    for which in order.chunks(AT_ONCE) {
        let (pictures, labels) = set.batch(which);
        let picture = tape.begin(Mode::Test, set.shape(), pictures);
        let values = network(tape, picture);
        right += tape.answers(values).iter().zip(&labels).filter(|(a, b)| a == b).count();
    }
    right as f32 / order.len() as f32
}

/// Prints a line that metrics are read from.
pub(crate) fn say(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| format!("nobody listens: {error}"))
}
