//! DARTS: weights and architecture are learnt in turns, each on its own half of the data (Liu et al. 2019,
//! arXiv:1806.09055, algorithm 1).

use crate::digits::{Digits, Set};
use crate::random::Random;
use crate::remedy::{self, Stop};
use crate::supernet::{Draw, Found, Supernet, Variant};
use crate::tape::{Mode, Tape};
use crate::train::{accuracy, say};
use crate::weights::{Adam, Descent, cosine, norm};

/// How a supernet is searched. Names of the first ones are those of Katib's settings.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) num_epochs: usize,
    pub(crate) w_lr: f32,
    pub(crate) w_lr_min: f32,
    pub(crate) w_momentum: f32,
    pub(crate) w_weight_decay: f32,
    pub(crate) w_grad_clip: f32,
    pub(crate) alpha_lr: f32,
    pub(crate) alpha_weight_decay: f32,
    pub(crate) batch_size: usize,
    /// Whether the step of the architecture looks ahead by one step of the weights.
    pub(crate) second_order: bool,
    pub(crate) variant: Variant,
    /// Whether operations are chosen by what their loss costs, and not by their numbers.
    pub(crate) perturbation: bool,
    /// Whether the search ends when the loss has become sharp in the architecture.
    pub(crate) stop: bool,
    pub(crate) seed: u64,
}

/// A search under way.
pub(crate) struct Search<'a> {
    pub(crate) supernet: &'a Supernet,
    pub(crate) settings: &'a Settings,
    pub(crate) digits: &'a Digits,
    pub(crate) tape: Tape,
    /// Numbers of operations, edge by edge.
    pub(crate) alphas: Vec<f32>,
    pub(crate) random: Random,
    descent: Descent,
    temperature: f32,
    epoch: usize,
}

/// Temperatures of drawing operations, at first and at last (Dong and Yang 2019, arXiv:1910.04465, section 4.1).
const TEMPERATURES: (f32, f32) = (10.0, 0.1);

impl<'a> Search<'a> {
    pub(crate) fn new(supernet: &'a Supernet, settings: &'a Settings, digits: &'a Digits) -> Self {
        let mut random = Random::new(settings.seed.wrapping_add(2 << 32));
        let n = supernet.n_edges() * supernet.n_operations();
        let descent = Descent {
            rate: settings.w_lr,
            momentum: settings.w_momentum,
            decay: settings.w_weight_decay,
            clip: settings.w_grad_clip,
            velocity: Vec::new(),
        };
        let alphas = (0..n).map(|_| 1e-3 * random.normal()).collect();
        let tape = Tape::new(settings.seed);
        Self {
            supernet,
            settings,
            digits,
            tape,
            alphas,
            random,
            descent,
            temperature: TEMPERATURES.0,
            epoch: 0,
        }
    }

    /// Searches to the end, and says what is found.
    pub(crate) fn run(mut self) -> Result<Found, String> {
        let Settings { num_epochs, w_lr, w_lr_min, alpha_lr, alpha_weight_decay, .. } = *self.settings;
        let mut adam = Adam::new(self.alphas.len(), alpha_lr, alpha_weight_decay, (0.5, 0.999));
        let mut stop = Stop::default();
        for epoch in 0..num_epochs {
            self.epoch = epoch + 1;
            self.descent.rate = cosine(w_lr, w_lr_min, epoch, num_epochs);
            let passed = epoch as f32 / num_epochs as f32;
            self.temperature = TEMPERATURES.0 + passed * (TEMPERATURES.1 - TEMPERATURES.0);
            let loss = self.learn(Some(&mut adam))?;
            let validation = self.validated();
            let mut line = format!("epoch={} loss={loss:.4} Validation-Accuracy={validation:.4}", self.epoch);
            if self.settings.stop {
                let sharpness = remedy::sharpness(&mut self)?;
                line.push_str(&format!(" eigenvalue={sharpness:.5}"));
                say(&line)?;
                if let Some(earlier) = stop.look(sharpness, &self.alphas) {
                    say(
                        "the loss has become sharp in the architecture; the one of some epochs before is taken",
                    )?;
                    self.alphas = earlier;
                    break;
                }
            } else {
                say(&line)?;
            }
            let weighed = self.supernet.weighed(&self.soft().coefficients);
            say(&format!("epoch={} Operation-Weights={weighed}", self.epoch))?;
        }
        let strengths = if self.settings.perturbation {
            remedy::strengths_by_perturbation(&mut self)?
        } else {
            self.soft().coefficients
        };
        Ok(self.supernet.found(&strengths))
    }

    /// One epoch; the mean loss of its steps. The architecture stays as it is without `adam`.
    pub(crate) fn learn(&mut self, mut adam: Option<&mut Adam>) -> Result<f32, String> {
        let size = self.settings.batch_size;
        let batches = self.digits.train.batches(size, &mut self.random);
        let mut others = self.digits.validation.batches(size, &mut self.random).into_iter().cycle();
        let mut losses = 0.0;
        for which in &batches {
            if let (Some(adam), Some(other)) = (adam.as_deref_mut(), others.next()) {
                let slopes = self.architecture_slopes(which, &other)?;
                adam.step(&mut self.alphas, &slopes);
            }
            let draw = self.draw();
            losses += self.slopes(&self.digits.train, which, &draw, Mode::Learn)?.0;
            self.descent.step(&mut self.tape.weights);
        }
        Ok(losses / batches.len().max(1) as f32)
    }

    fn draw(&mut self) -> Draw {
        let Settings { variant, .. } = *self.settings;
        self.supernet.draw(&self.alphas, variant, self.temperature, &mut self.random)
    }

    /// Coefficients of the architecture as it is, nothing drawn.
    pub(crate) fn soft(&mut self) -> Draw {
        let variant =
            if self.settings.variant == Variant::Sampled { Variant::Darts } else { self.settings.variant };
        self.supernet.draw(&self.alphas, variant, 1.0, &mut self.random)
    }

    /// Loss of a batch, and its slopes by the numbers of operations; those by the weights stay on the tape.
    pub(crate) fn slopes(
        &mut self,
        set: &Set,
        which: &[usize],
        draw: &Draw,
        mode: Mode,
    ) -> Result<(f32, Vec<f32>), String> {
        self.tape.coefficients.clone_from(&draw.coefficients);
        let (pictures, labels) = set.batch(which);
        let picture = self.tape.begin(mode, set.shape(), pictures);
        let values = self.supernet.network(&mut self.tape, picture);
        let loss = self.tape.loss(values, &labels);
        if !loss.is_finite() {
            let Settings { w_lr, alpha_lr, .. } = self.settings;
            return Err(format!(
                "the supernet has diverged in epoch {} (loss {loss}); lower w_lr, which is {w_lr}, or alpha_lr, which is \
                 {alpha_lr}, or set w_grad_clip",
                self.epoch
            ));
        }
        self.tape.back();
        Ok((loss, draw.back(&self.tape.coefficient_slopes, self.supernet.n_operations())))
    }

    /// Slopes of the validation loss by the numbers of operations: with the weights as they are, or as they would be
    /// after one step more (eq. 7 and 8).
    fn architecture_slopes(&mut self, train: &[usize], other: &[usize]) -> Result<Vec<f32>, String> {
        let draw = self.draw();
        let (trained, validation) = (&self.digits.train, &self.digits.validation);
        if !self.settings.second_order {
            return Ok(self.slopes(validation, other, &draw, Mode::Probe)?.1);
        }
        self.slopes(trained, train, &draw, Mode::Probe)?;
        let weights = self.tape.weights.clone();
        self.descent.clone().step(&mut self.tape.weights);
        let (_, mut slopes) = self.slopes(validation, other, &draw, Mode::Probe)?;
        let direction = self.tape.weights.slopes.clone();
        // Section 2.3: weights move by 0.01 in all.
        let reach = 0.01 / norm(&direction).max(1e-12);
        let mut at = |scale: f32| {
            let moved = weights.named.values.iter().zip(&direction).map(|(w, d)| w + scale * d);
            self.tape.weights.named.values = moved.collect();
            self.slopes(trained, train, &draw, Mode::Probe).map(|(_, slopes)| slopes)
        };
        let (above, below) = (at(reach)?, at(-reach)?);
        for ((slope, above), below) in slopes.iter_mut().zip(above).zip(below) {
            *slope -= self.descent.rate * (above - below) / (2.0 * reach);
        }
        self.tape.weights = weights;
        Ok(slopes)
    }

    /// How often the supernet is right about the validation pictures.
    fn validated(&mut self) -> f32 {
        self.tape.coefficients = self.soft().coefficients;
        let (supernet, digits) = (self.supernet, self.digits);
        accuracy(&mut self.tape, &|tape, picture| supernet.network(tape, picture), &digits.validation)
    }
}
