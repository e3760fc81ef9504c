//! What an edge of a cell may be, by the names of the published spaces.

use thiserror::Error;

/// An operation on an edge of a cell. Sizes are odd, so that outputs are as large as inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Nothing comes through.
    Zero,
    /// What comes in.
    Skip,
    /// ReLU, convolution, batch normalisation.
    Conv(usize),
    /// Twice: ReLU, depthwise convolution, pointwise convolution, batch normalisation.
    SepConv(usize),
    /// ReLU, depthwise convolution with holes, pointwise convolution, batch normalisation.
    DilConv(usize),
    /// Mean of a square.
    AvgPool(usize),
    /// Largest of a square.
    MaxPool(usize),
}

/// A name that is none of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no operation of a cell; use none, skip_connect, nor_conv_KxK, sep_conv_KxK, dil_conv_KxK, avg_pool_KxK or max_pool_KxK with an odd K"
)]
pub struct UnknownOperation(pub String);

impl Operation {
    /// The five of NAS-Bench-201, in its order (Dong and Yang 2020, arXiv:2001.00326).
    pub const NAS_BENCH_201: [Self; 5] =
        [Self::Zero, Self::Skip, Self::Conv(1), Self::Conv(3), Self::AvgPool(3)];

    /// The eight of DARTS, in its order (Liu et al. 2019, arXiv:1806.09055).
    pub const DARTS: [Self; 8] = [
        Self::Zero,
        Self::MaxPool(3),
        Self::AvgPool(3),
        Self::Skip,
        Self::SepConv(3),
        Self::SepConv(5),
        Self::DilConv(3),
        Self::DilConv(5),
    ];

    /// Its name, as `nor_conv_3x3`.
    pub fn name(self) -> String {
        match self {
            Self::Zero => "none".into(),
            Self::Skip => "skip_connect".into(),
            Self::Conv(k) => format!("nor_conv_{k}x{k}"),
            Self::SepConv(k) => format!("sep_conv_{k}x{k}"),
            Self::DilConv(k) => format!("dil_conv_{k}x{k}"),
            Self::AvgPool(k) => format!("avg_pool_{k}x{k}"),
            Self::MaxPool(k) => format!("max_pool_{k}x{k}"),
        }
    }

    /// The operation of a name.
    ///
    /// # Errors
    /// If it is none of one.
    pub fn parse(name: &str) -> Result<Self, UnknownOperation> {
        let unknown = || UnknownOperation(name.to_owned());
        match name {
            "none" => return Ok(Self::Zero),
            "skip_connect" => return Ok(Self::Skip),
            _ => {}
        }
        let (kind, size) = name.rsplit_once('_').ok_or_else(unknown)?;
        let (width, height) = size.split_once('x').ok_or_else(unknown)?;
        let size: usize = width.parse().map_err(|_| unknown())?;
        if width != height || size.is_multiple_of(2) {
            return Err(unknown());
        }
        match kind {
            "nor_conv" => Ok(Self::Conv(size)),
            "sep_conv" => Ok(Self::SepConv(size)),
            "dil_conv" => Ok(Self::DilConv(size)),
            "avg_pool" => Ok(Self::AvgPool(size)),
            "max_pool" => Ok(Self::MaxPool(size)),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_others_are_refused() {
        for operation in Operation::NAS_BENCH_201.into_iter().chain(Operation::DARTS) {
            assert_eq!(Operation::parse(&operation.name()), Ok(operation));
        }
        for name in ["", "conv", "nor_conv_3", "nor_conv_3x5", "nor_conv_2x2", "big_conv_3x3", "nor_conv_x"] {
            assert_eq!(Operation::parse(name), Err(UnknownOperation(name.into())));
        }
    }
}
