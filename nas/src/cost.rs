//! What an architecture costs, computed from itself: parameters, multiply-adds, and a latency estimated from them.

use crate::operation::Operation;

/// What a network, or a part of one, costs for one example. Sizes are the user's: what is larger than the largest number
/// counts as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Trained numbers.
    pub parameters: u64,
    /// Multiplications with an addition, of convolutions and dense layers; what is linear in pixels, as normalisation and
    /// pooling, is left out, as in published counts.
    pub multiply_adds: u64,
    /// Layers that a machine runs one by one.
    pub layers: u64,
}

impl Cost {
    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            parameters: self.parameters.saturating_add(other.parameters),
            multiply_adds: self.multiply_adds.saturating_add(other.multiply_adds),
            layers: self.layers.saturating_add(other.layers),
        }
    }

    /// The same `n` times.
    #[must_use]
    pub fn times(self, n: u64) -> Self {
        Self {
            parameters: self.parameters.saturating_mul(n),
            multiply_adds: self.multiply_adds.saturating_mul(n),
            layers: self.layers.saturating_mul(n),
        }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::plus)
    }
}

/// A machine, as far as a latency can be estimated: each layer costs its start, each multiply-add its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Seconds to begin a layer, at least 0.
    pub seconds_per_layer: f64,
    /// Multiply-adds in a second, above 0.
    pub multiply_adds_per_second: f64,
}

impl Machine {
    /// Estimated seconds for one example.
    pub fn latency(&self, cost: Cost) -> f64 {
        cost.layers as f64 * self.seconds_per_layer
            + cost.multiply_adds as f64 / self.multiply_adds_per_second
    }
}

/// A stack of pictures: what goes from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: u64,
    /// Columns.
    pub width: u64,
    /// Pictures.
    pub channels: u64,
}

impl Shape {
    /// Rows times columns.
    pub fn pixels(self) -> u64 {
        self.height.saturating_mul(self.width)
    }

    /// The shape after a stride, rounded up as padding does.
    #[must_use]
    pub fn strided(self, stride: u64) -> Self {
        let stride = stride.max(1);
        Self { height: self.height.div_ceil(stride), width: self.width.div_ceil(stride), ..self }
    }
}

/// A convolution from one number of channels to another onto so many pixels, without bias. In `groups` each channel sees
/// its own group alone.
pub fn convolution(kernel: u64, from: u64, to: u64, groups: u64, pixels: u64) -> Cost {
    let parameters = product(&[kernel, kernel, from / groups.max(1), to]);
    Cost { parameters, multiply_adds: product(&[parameters, pixels]), layers: 1 }
}

/// Batch normalisation with scale and shift.
pub fn normalisation(channels: u64) -> Cost {
    Cost { parameters: product(&[2, channels]), multiply_adds: 0, layers: 1 }
}

/// A dense layer with bias.
pub fn dense(from: u64, to: u64) -> Cost {
    Cost {
        parameters: product(&[from.saturating_add(1), to]),
        multiply_adds: product(&[from, to]),
        layers: 1,
    }
}

/// A product, or the largest number where it is larger.
pub(crate) fn product(factors: &[u64]) -> u64 {
    factors.iter().copied().fold(1, u64::saturating_mul)
}

impl Operation {
    /// What it costs on an edge that keeps this shape. Normalisation has scale and shift.
    pub fn cost(self, shape: Shape) -> Cost {
        let (c, pixels) = (shape.channels, shape.pixels());
        let separable = |kernel: usize| {
            let depthwise = convolution(kernel as u64, c, c, c, pixels);
            depthwise.plus(convolution(1, c, c, 1, pixels)).plus(normalisation(c))
        };
        match self {
            Self::Zero | Self::Skip => Cost::default(),
            Self::AvgPool(_) | Self::MaxPool(_) => Cost { layers: 1, ..Cost::default() },
            Self::Conv(kernel) => convolution(kernel as u64, c, c, 1, pixels).plus(normalisation(c)),
            Self::SepConv(kernel) => separable(kernel).times(2),
            Self::DilConv(kernel) => separable(kernel),
        }
    }
}

/// The network that NAS-Bench-201 stacks cells to: three stages of `cells` cells each, with residual blocks between them
/// that halve the picture and double the channels (Dong and Yang 2020, arXiv:2001.00326, figure 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Cells in a stage; 5 as published.
    pub cells: u64,
    /// Channels of the first stage; 16 as published.
    pub channels: u64,
    /// The picture.
    pub input: Shape,
    /// Classes told apart.
    pub classes: u64,
}

impl Stack {
    /// As published for CIFAR-10.
    pub const CIFAR_10: Self =
        Self { cells: 5, channels: 16, input: Shape { height: 32, width: 32, channels: 3 }, classes: 10 };

    /// What the network of a cell costs. Edges that nothing comes through or out of are counted as the cell is written.
    pub fn cost(&self, cell: &crate::cell::Cell) -> Cost {
        let input = self.input;
        let stem = convolution(3, input.channels, self.channels, 1, input.pixels());
        let mut cost = stem.plus(normalisation(self.channels));
        let mut shape = Shape { channels: self.channels, ..input };
        for stage in 0..3 {
            if stage > 0 {
                let wide = Shape { channels: 2 * shape.channels, ..shape.strided(2) };
                cost = cost.plus(Self::reduction(shape.channels, wide));
                shape = wide;
            }
            let one: Cost = cell.edges().iter().map(|edge| edge.operation.cost(shape)).sum();
            cost = cost.plus(one.times(self.cells));
        }
        cost.plus(normalisation(shape.channels)).plus(dense(shape.channels, self.classes))
    }

    /// A residual block with a stride of two: two convolutions of 3x3, and a mean and a convolution of 1x1 beside them.
    fn reduction(from: u64, to: Shape) -> Cost {
        let main = convolution(3, from, to.channels, 1, to.pixels()).plus(normalisation(to.channels));
        let second =
            convolution(3, to.channels, to.channels, 1, to.pixels()).plus(normalisation(to.channels));
        main.plus(second).plus(convolution(1, from, to.channels, 1, to.pixels()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::CellSpace;

    fn cost(text: &str) -> Cost {
        let cells = CellSpace::nas_bench_201();
        Stack::CIFAR_10.cost(&cells.cell(&cells.parse(text).unwrap()))
    }

    /// The published counts of the largest cell of NAS-Bench-201: 1.531546 million parameters, 220.12 million multiply-adds.
    /// By hand: stem 464; cells 5 * 6 * (9 c^2 + 2 c) for c = 16, 32, 64: 70,080 + 278,400 + 1,109,760; blocks 14,464 and
    /// 57,600; normalisation 128; classes 650.
    #[test]
    fn the_largest_cell_costs_what_was_published() {
        let all =
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|";
        let cost = cost(all);
        assert_eq!(cost.parameters, 464 + 70_080 + 278_400 + 1_109_760 + 14_464 + 57_600 + 128 + 650);
        assert_eq!(cost.parameters, 1_531_546);
        assert_eq!(cost.multiply_adds, 220_119_680);
    }

    /// What is left without any cell: 73,306 parameters and 7,783,040 multiply-adds, as published for the smallest cells.
    #[test]
    fn an_empty_cell_costs_what_is_around_it() {
        let empty = cost("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|");
        assert_eq!((empty.parameters, empty.multiply_adds), (73_306, 7_783_040));
        let machine = Machine { seconds_per_layer: 1e-5, multiply_adds_per_second: 1e9 };
        // 2 of the stem, 5 of each block, 2 at the end, and 15 pools.
        assert_eq!(empty.layers, 2 + 2 * 5 + 2 + 15);
        assert!((machine.latency(empty) - (29e-5 + 7_783_040e-9)).abs() < 1e-12);
    }

    /// 16 channels of 8 x 8: depthwise 9 * 16, pointwise 16 * 16, normalisation 2 * 16, all twice.
    #[test]
    fn a_separable_convolution_is_counted_by_hand() {
        let shape = Shape { height: 8, width: 8, channels: 16 };
        let cost = Operation::SepConv(3).cost(shape);
        assert_eq!((cost.parameters, cost.multiply_adds), (2 * (144 + 256 + 32), 2 * (144 + 256) * 64));
        assert_eq!(Operation::DilConv(5).cost(shape).parameters, 400 + 256 + 32);
        assert_eq!(shape.strided(3), Shape { height: 3, width: 3, channels: 16 });
    }
}
