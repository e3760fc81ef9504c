//! Trains a network with one hidden layer on the optical digits and prints how well it does after each epoch.
//!
//! The data set is `digits.txt` beside this file: one image a line, its digit, a space, and 8 x 8 pixels of 0 to 16 as
//! `0` to `g`. Every fifth image is held out for testing. The network is plain softmax regression on ReLU features,
//! trained by stochastic gradient descent with momentum (Rumelhart, Hinton and Williams 1986, Nature 323:533).
//!
//! What it leaves it can serve too, `digits serve`, and measure: `digits evaluate`.

mod serve;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use serve::{CLASSES, PIXELS, most_likely};

const DATA: &str = include_str!("digits.txt");

/// What may be tuned.
struct Settings {
    learning_rate: f64,
    momentum: f64,
    decay: f64,
    hidden: usize,
    batch: usize,
    epochs: usize,
    seed: u64,
    /// Every so many-th image is neither learnt nor tested on; 0 for none.
    leave_out: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve::serve(std::env::args().skip(2), |folder| {
            let network = Network::load(folder)?;
            Ok(move |pixels: &[f64]| network.forward(pixels).1)
        });
    }
    if std::env::args().nth(1).as_deref() == Some("evaluate") {
        return evaluate(std::env::args().skip(2));
    }
    let settings = Settings::read(std::env::args().skip(1))?;
    let (train, test) = split(images(DATA)?, settings.leave_out);
    let mut random = Random(settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut network = Network::new(settings.hidden, &mut random);
    let mut order: Vec<usize> = (0..train.len()).collect();
    for epoch in 1..=settings.epochs {
        random.shuffle(&mut order);
        let mut loss = 0.0;
        for batch in order.chunks(settings.batch) {
            loss += network.learn(batch.iter().map(|i| &train[*i]), &settings);
        }
        let loss = loss / train.len() as f64;
        let right = test.iter().filter(|image| network.digit(&image.pixels) == image.digit).count();
        let accuracy = right as f64 / test.len() as f64;
        writeln!(std::io::stdout(), "epoch={epoch} loss={loss:.6} accuracy={accuracy:.6}")?;
        if !loss.is_finite() {
            return Err("the training has diverged; a smaller learning rate helps".into());
        }
    }
    if let Some(folder) = std::env::var_os("CAIRN_MODEL_DIR") {
        let folder = Path::new(&folder);
        network.save(folder, &test[0].pixels)?;
        network.profile(folder, &train)?;
    }
    Ok(())
}

impl Settings {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut settings = Self {
            learning_rate: 0.05,
            momentum: 0.9,
            decay: 0.0,
            hidden: 32,
            batch: 32,
            epochs: 20,
            seed: 1,
            leave_out: 0,
        };
        for argument in arguments {
            let (name, value) =
                argument.split_once('=').ok_or_else(|| format!("`{argument}` is not --NAME=VALUE"))?;
            match name {
                "--learning-rate" => settings.learning_rate = value.parse()?,
                "--momentum" => settings.momentum = value.parse()?,
                "--decay" => settings.decay = value.parse()?,
                "--hidden" => settings.hidden = value.parse()?,
                "--batch" => settings.batch = value.parse()?,
                "--epochs" => settings.epochs = value.parse()?,
                "--seed" => settings.seed = value.parse()?,
                "--leave-out" => settings.leave_out = value.parse()?,
                _ => return Err(format!("there is no option `{name}`").into()),
            }
        }
        if settings.hidden == 0 || settings.batch == 0 {
            return Err("--hidden and --batch must be at least 1".into());
        }
        Ok(settings)
    }
}

/// A picture of a digit; pixels from 0 to 1.
struct Image {
    digit: usize,
    pixels: [f64; PIXELS],
}

/// All images of a file.
fn images(text: &str) -> Result<Vec<Image>, Box<dyn Error>> {
    let image = |line: &str| -> Result<Image, Box<dyn Error>> {
        let (digit, text) = line.split_once(' ').ok_or("an image without a digit")?;
        let mut pixels = [0.0; PIXELS];
        for (pixel, c) in pixels.iter_mut().zip(text.chars()) {
            *pixel = f64::from(c.to_digit(17).ok_or("a pixel that is none")?) / 16.0;
        }
        Ok(Image { digit: digit.parse()?, pixels })
    };
    text.lines().map(image).collect()
}

/// The images to learn from, and those to test on.
fn split(images: Vec<Image>, leave_out: usize) -> (Vec<Image>, Vec<Image>) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (i, image) in images.into_iter().enumerate() {
        match i {
            _ if is_nth(i, leave_out) => {}
            _ if is_nth(i, 5) => test.push(image),
            _ => train.push(image),
        }
    }
    (train, test)
}

/// Whether an image is the last of each `n`.
fn is_nth(i: usize, n: usize) -> bool {
    n > 0 && i % n == n - 1
}

/// `digits evaluate --model=FOLDER --data=FILE [--every=N]`: how well a network does on every so many-th image of a file,
/// and on each of them, so that two networks can be compared in pairs.
fn evaluate(arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let (mut model, mut data, mut every) = (String::new(), String::new(), 1);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--model", value)) => value.clone_into(&mut model),
            Some(("--data", value)) => value.clone_into(&mut data),
            Some(("--every", value)) => every = value.parse()?,
            _ => return Err(format!("there is no option `{argument}`").into()),
        }
    }
    let network = Network::load(Path::new(&model))?;
    let images = images(&fs::read_to_string(&data).map_err(|error| format!("{data}: {error}"))?)?;
    let held = images.iter().enumerate().filter(|(i, _)| is_nth(*i, every));
    let right: Vec<bool> = held.map(|(_, image)| network.digit(&image.pixels) == image.digit).collect();
    let mut out = std::io::stdout();
    for (i, is_right) in right.iter().enumerate() {
        writeln!(out, "step={i} score={}", u8::from(*is_right))?;
    }
    let accuracy = right.iter().filter(|is_right| **is_right).count() as f64 / right.len() as f64;
    writeln!(out, "accuracy={accuracy:.6}")?;
    Ok(())
}

/// Weights with their velocities. `W1` is hidden x 65, `W2` is 10 x (hidden + 1); the last column is the bias.
struct Network {
    hidden: usize,
    first: Layer,
    second: Layer,
}

struct Layer {
    columns: usize,
    weights: Vec<f64>,
    velocities: Vec<f64>,
    gradients: Vec<f64>,
}

impl Layer {
    /// He et al. 2015, arXiv:1502.01852, eq. 10: variance 2 / n of the inputs.
    fn new(rows: usize, inputs: usize, random: &mut Random) -> Self {
        let (columns, scale) = (inputs + 1, (2.0 / inputs as f64).sqrt());
        let weights = (0..rows * columns)
            .map(|i| if i % columns == inputs { 0.0 } else { scale * random.normal() })
            .collect();
        let zeros = vec![0.0; rows * columns];
        Self { columns, weights, velocities: zeros.clone(), gradients: zeros }
    }

    fn apply(&self, inputs: &[f64]) -> Vec<f64> {
        let rows = self.weights.chunks_exact(self.columns);
        rows.map(|row| row.iter().zip(inputs).map(|(w, x)| w * x).sum::<f64>() + row[self.columns - 1])
            .collect()
    }

    /// Adds the gradient of one image; `errors` are the derivatives of its loss by this layer's outputs.
    fn add(&mut self, errors: &[f64], inputs: &[f64]) {
        for (row, error) in self.gradients.chunks_exact_mut(self.columns).zip(errors) {
            row.iter_mut().zip(inputs).for_each(|(g, x)| *g += error * x);
            row[self.columns - 1] += error;
        }
    }

    fn step(&mut self, n: usize, settings: &Settings) {
        for ((weight, velocity), gradient) in
            self.weights.iter_mut().zip(&mut self.velocities).zip(&mut self.gradients)
        {
            let slope = *gradient / n as f64 + settings.decay * *weight;
            *velocity = settings.momentum * *velocity - settings.learning_rate * slope;
            *weight += *velocity;
            *gradient = 0.0;
        }
    }
}

impl Network {
    fn new(hidden: usize, random: &mut Random) -> Self {
        let first = Layer::new(hidden, PIXELS, random);
        Self { hidden, first, second: Layer::new(CLASSES, hidden, random) }
    }

    /// Hidden activations and class probabilities.
    fn forward(&self, pixels: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let hidden: Vec<f64> = self.first.apply(pixels).into_iter().map(|x| x.max(0.0)).collect();
        let scores = self.second.apply(&hidden);
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let sum: f64 = exps.iter().sum();
        (hidden, exps.iter().map(|e| e / sum).collect())
    }

    /// One step on a batch; returns the sum of its losses.
    fn learn<'a>(&mut self, batch: impl ExactSizeIterator<Item = &'a Image>, settings: &Settings) -> f64 {
        let (n, mut loss) = (batch.len(), 0.0);
        for image in batch {
            let (hidden, mut errors) = self.forward(&image.pixels);
            loss -= errors[image.digit].max(f64::MIN_POSITIVE).ln();
            errors[image.digit] -= 1.0;
            let back: Vec<f64> = (0..self.hidden)
                .map(|j| {
                    let column = errors
                        .iter()
                        .enumerate()
                        .map(|(k, e)| e * self.second.weights[k * (self.hidden + 1) + j]);
                    if hidden[j] > 0.0 { column.sum() } else { 0.0 }
                })
                .collect();
            self.second.add(&errors, &hidden);
            self.first.add(&back, &image.pixels);
        }
        self.first.step(n, settings);
        self.second.step(n, settings);
        loss
    }

    fn digit(&self, pixels: &[f64]) -> usize {
        most_likely(&self.forward(pixels).1)
    }

    /// Writes the network, and for an image the request that asks for it and the answer to it.
    fn save(&self, folder: &Path, image: &[f64]) -> std::io::Result<()> {
        let list = |layer: &Layer| layer.weights.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        let text = format!(
            "{{\"hidden\":{},\"first\":[{}],\"second\":[{}]}}\n",
            self.hidden,
            list(&self.first),
            list(&self.second)
        );
        fs::write(folder.join("network.json"), text)?;
        serve::describe(folder, "custom", image, &self.forward(image).1)
    }

    /// Writes how the pixels were distributed that it has learnt from, and what it sees in them.
    fn profile(&self, folder: &Path, images: &[Image]) -> std::io::Result<()> {
        let edges: Vec<u64> = (1..=16).collect();
        let mut inputs = serde_json::Map::new();
        for i in 0..PIXELS {
            let mut counts = [0; 17];
            images.iter().for_each(|image| counts[(image.pixels[i] * 16.0) as usize] += 1);
            inputs.insert(format!("pixels[{i}]"), json!({"edges": edges, "counts": counts.to_vec()}));
        }
        let mut digits = [0; CLASSES];
        images.iter().for_each(|image| digits[self.digit(&image.pixels)] += 1);
        let categories: serde_json::Map<String, Value> =
            digits.iter().enumerate().map(|(digit, count)| (digit.to_string(), json!(count))).collect();
        let profile = json!({"inputs": inputs, "outputs": {"digit": {"categories": categories}}});
        fs::write(folder.join("profile.json"), profile.to_string())?;
        let mut description = fs::File::options().append(true).open(folder.join("model.yaml"))?;
        description.write_all(b"profile: profile.json\n")
    }

    /// Reads what was saved.
    fn load(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let saved: Value = serde_json::from_slice(&fs::read(folder.join("network.json"))?)?;
        let hidden = saved["hidden"].as_u64().ok_or("network.json says no `hidden`")? as usize;
        let mut network = Self::new(hidden, &mut Random(1));
        for (name, layer) in [("first", &mut network.first), ("second", &mut network.second)] {
            let weights = saved[name].as_array().ok_or_else(|| format!("network.json has no `{name}`"))?;
            if weights.len() != layer.weights.len() {
                return Err(format!("`{name}` of network.json has {} weights", weights.len()).into());
            }
            for (to, from) in layer.weights.iter_mut().zip(weights) {
                *to = from.as_f64().ok_or("a weight that is none")?;
            }
        }
        Ok(network)
    }
}

/// xorshift64* (Vigna 2016, arXiv:1402.6246): enough for weights and shuffles.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in (0, 1).
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for i in (1..order.len()).rev() {
            order.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}
