//! Operations of cells, under the names of Katib's DARTS and of NAS-Bench-201.

use crate::tape::{Id, Tape};

/// What an edge of a cell may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Nothing comes through.
    Nothing,
    Skip,
    Mean(usize),
    Largest(usize),
    Convolution(usize),
    /// Twice depthwise and pointwise.
    Separable(usize),
    /// Depthwise with holes, and pointwise.
    Dilated(usize),
}

/// The five of NAS-Bench-201, in its order.
pub(crate) const NAS_BENCH_201: [&str; 5] =
    ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
/// Largest window.
const MAX_KERNEL: usize = 15;

impl Operation {
    /// The operation of a name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "none" => return Ok(Self::Nothing),
            "skip_connect" | "skip_connection" => return Ok(Self::Skip),
            _ => {}
        }
        let sized = name.rsplit_once('_').and_then(|(kind, size)| {
            let (width, height) = size.split_once('x')?;
            let kernel = width.parse().ok().filter(|k| k % 2 == 1 && *k <= MAX_KERNEL && width == height)?;
            Some((kind, kernel))
        });
        match sized {
            Some(("avg_pool" | "avg_pooling", k)) => Ok(Self::Mean(k)),
            Some(("max_pool" | "max_pooling", k)) => Ok(Self::Largest(k)),
            Some(("nor_conv" | "convolution", k)) => Ok(Self::Convolution(k)),
            Some(("separable_convolution", k)) => Ok(Self::Separable(k)),
            Some(("dilated_convolution", k)) => Ok(Self::Dilated(k)),
            _ => Err(format!(
                "`{name}` is no operation of a cell; there are none, skip_connection, avg_pooling_KxK, max_pooling_KxK, \
                 convolution_KxK, separable_convolution_KxK and dilated_convolution_KxK with an odd K up to {MAX_KERNEL}, \
                 and those of NAS-Bench-201"
            )),
        }
    }

    /// What comes through, with as many channels as come in; `None` for nothing.
    pub(crate) fn on(self, tape: &mut Tape, name: &str, x: Id, stride: usize) -> Option<Id> {
        let channels = tape.shape(x).channels;
        Some(match self {
            Self::Nothing => return None,
            Self::Skip if stride == 1 => x,
            Self::Skip => convolution(tape, name, x, channels, (1, stride, 1)),
            Self::Mean(k) => {
                let y = tape.mean(x, k, stride);
                tape.norm(name, y)
            }
            Self::Largest(k) => {
                let y = tape.largest(x, k, stride);
                tape.norm(name, y)
            }
            Self::Convolution(k) => convolution(tape, name, x, channels, (k, stride, 1)),
            Self::Separable(k) => {
                let y = depthwise(tape, &format!("{name}.1"), x, (k, stride, 1));
                depthwise(tape, &format!("{name}.2"), y, (k, 1, 1))
            }
            Self::Dilated(k) => depthwise(tape, name, x, (k, stride, 2)),
        })
    }
}

/// ReLU, convolution, normalisation. `window` is (kernel, stride, dilation).
pub(crate) fn convolution(
    tape: &mut Tape,
    name: &str,
    x: Id,
    n_out: usize,
    window: (usize, usize, usize),
) -> Id {
    let x = tape.relu(x);
    let x = tape.convolution(name, x, n_out, 1, window);
    tape.norm(name, x)
}

/// ReLU, a convolution for each channel, one over all channels, normalisation.
fn depthwise(tape: &mut Tape, name: &str, x: Id, window: (usize, usize, usize)) -> Id {
    let channels = tape.shape(x).channels;
    let x = tape.relu(x);
    let x = tape.convolution(&format!("{name}.depthwise"), x, channels, channels, window);
    let x = tape.convolution(&format!("{name}.pointwise"), x, channels, 1, (1, 1, 1));
    tape.norm(name, x)
}

/// The mean over all pixels, and a value for each class.
pub(crate) fn classes(tape: &mut Tape, x: Id, n: usize) -> Id {
    let x = tape.mean_of_all(x);
    let x = tape.convolution("classes", x, n, 1, (1, 1, 1));
    tape.bias("classes.bias", x)
}
