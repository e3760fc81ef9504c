//! Pictures of digits, from the data set of the example `digits`.

use crate::plan::LANES;
use crate::random::Random;
use crate::tape::Shape;

const DATA: &str = include_str!("../digits/digits.txt");
/// Rows and columns of the pictures as they are shipped.
const SIDE: usize = 8;
/// Digits.
pub(crate) const CLASSES: usize = 10;

/// Pictures with their digits.
pub(crate) struct Set {
    shape: Shape,
    pictures: Vec<Vec<f32>>,
    pub(crate) labels: Vec<usize>,
}

/// What there is to learn from and to be measured with.
pub(crate) struct Digits {
    pub(crate) train: Set,
    pub(crate) validation: Set,
    pub(crate) test: Set,
}

/// How much there is to learn from, and how hard it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// All pictures as they are: half to learn from, three tenths for validation, every fifth for the test.
    Whole,
    /// 384 pictures, moved by up to a pixel and with noise, so that how well a network does depends on what it is.
    Few,
}

/// Pictures of [`Task::Few`] to learn from, for validation and for the test; the others are left out.
const FEW: [usize; 3] = [384, 512, 512];
/// Noise of [`Task::Few`], in units of a pixel's range.
const NOISE: f32 = 0.1;

impl Digits {
    /// The pictures of a task in a network's shape: repeated or left out to fit it.
    pub(crate) fn new(task: Task, shape: Shape) -> Result<Self, String> {
        let mut all = Vec::new();
        let mut random = Random::new(8);
        for image in shipped() {
            let (digit, pixels) = image?;
            let pixels = if task == Task::Few { spoilt(&pixels, &mut random) } else { pixels };
            all.push((digit, fitted(&pixels, shape)));
        }
        let set = |wanted: &dyn Fn(usize) -> bool| {
            let its = all.iter().enumerate().filter(|(i, _)| wanted(*i)).map(|(_, image)| image.clone());
            let (labels, pictures) = its.unzip();
            Set { shape, pictures, labels }
        };
        Ok(match task {
            Task::Whole => Self {
                train: set(&|i| i % 10 < 5),
                validation: set(&|i| matches!(i % 10, 5..8)),
                test: set(&|i| i % 10 >= 8),
            },
            Task::Few => {
                let [train, validation, test] = FEW;
                Self {
                    train: set(&|i| i < train),
                    validation: set(&|i| (train..train + validation).contains(&i)),
                    test: set(&|i| (train + validation..train + validation + test).contains(&i)),
                }
            }
        })
    }
}

/// The pictures as they are shipped, with their digits.
pub(crate) fn shipped() -> impl Iterator<Item = Result<(usize, Vec<f32>), String>> {
    DATA.lines().map(|line| {
        let (digit, text) = line.split_once(' ').ok_or("an image without a digit")?;
        let pixels: Option<Vec<f32>> =
            text.chars().map(|c| c.to_digit(17).map(|x| x as f32 / 16.0)).collect();
        let pixels = pixels.filter(|pixels| pixels.len() == SIDE * SIDE).ok_or("an image that is none")?;
        Ok((digit.parse().map_err(|_| "a digit that is none")?, pixels))
    })
}

/// A picture moved by up to a pixel each way, with noise.
fn spoilt(pixels: &[f32], random: &mut Random) -> Vec<f32> {
    let (down, right) = (random.below(3), random.below(3));
    let mut moved = Vec::with_capacity(pixels.len());
    for i in 0..pixels.len() {
        let (row, column) = ((i / SIDE + down).wrapping_sub(1), (i % SIDE + right).wrapping_sub(1));
        let pixel = if row < SIDE && column < SIDE { pixels[row * SIDE + column] } else { 0.0 };
        moved.push(pixel + NOISE * random.normal());
    }
    moved
}

/// A picture in another shape: the nearest pixel of it, on every channel.
pub(crate) fn fitted(pixels: &[f32], shape: Shape) -> Vec<f32> {
    let at = |i: usize| i * SIDE / shape.side;
    let n = shape.side * shape.side;
    (0..shape.len()).map(|i| pixels[at(i % n / shape.side) * SIDE + at(i % shape.side)]).collect()
}

impl Set {
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// These pictures batch innermost, filled up with the first to what can be worked on at once, and their digits.
    pub(crate) fn batch(&self, which: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let n = which.len().next_multiple_of(LANES);
        let pictures = (0..n).map(|b| &self.pictures[which[if b < which.len() { b } else { 0 }]]);
        let mut values = vec![0.0; n * self.shape.len()];
        for (b, picture) in pictures.enumerate() {
            picture.iter().enumerate().for_each(|(i, x)| values[i * n + b] = *x);
        }
        (values, which.iter().map(|i| self.labels[*i]).collect())
    }

    /// Batches of all pictures in a new order, without what does not fill one. A batch is no larger than the set and has
    /// as many pictures as can be worked on at once, or a multiple.
    pub(crate) fn batches(&self, size: usize, random: &mut Random) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        random.shuffle(&mut order);
        let size = size.min(order.len()).next_multiple_of(LANES).min(order.len() / LANES * LANES);
        order.chunks_exact(size).map(<[usize]>::to_vec).collect()
    }
}
