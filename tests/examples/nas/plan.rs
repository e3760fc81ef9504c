//! Windows over a square picture, and sums over them. Pictures lie batch innermost: `[channel][pixel][image]`, so that
//! the same is done to [`LANES`] images at once.

/// Images that are worked on at once; batches are multiples of it.
pub(crate) const LANES: usize = 8;

/// A pixel that a window sees, and which place of the window it is at.
type Seen = (usize, usize);

/// Which pixels each window sees, at the edges fewer.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Pixels that windows look at.
    pub(crate) from: usize,
    /// Rows and columns of windows.
    pub(crate) side: usize,
    /// Places of a window.
    pub(crate) taps: usize,
    /// For each window its places with the pixels there.
    pub(crate) windows: Vec<Vec<Seen>>,
    /// For each pixel the places at which it is seen, with the windows.
    seen_by: Vec<Vec<Seen>>,
    /// For each place the windows with the pixels there.
    pairs: Vec<Vec<(usize, usize)>>,
}

impl Plan {
    /// Windows of `kernel` x `kernel` places, `dilation` pixels apart, every `stride` pixels, with the same middle.
    pub(crate) fn new(side: usize, kernel: usize, stride: usize, dilation: usize) -> Self {
        let (to, pad) = (side.div_ceil(stride), dilation * (kernel - 1) / 2);
        let taps = kernel * kernel;
        let mut plan = Self {
            from: side * side,
            side: to,
            taps,
            windows: vec![Vec::new(); to * to],
            seen_by: vec![Vec::new(); side * side],
            pairs: vec![Vec::new(); taps],
        };
        let at = |window: usize, place: usize| {
            (window * stride + place * dilation).checked_sub(pad).filter(|pixel| *pixel < side)
        };
        for window in 0..to * to {
            for tap in 0..taps {
                let (row, column) = (at(window / to, tap / kernel), at(window % to, tap % kernel));
                let Some(pixel) = row.zip(column).map(|(row, column)| row * side + column) else { continue };
                plan.windows[window].push((tap, pixel));
                plan.seen_by[pixel].push((tap, window));
                plan.pairs[tap].push((window, pixel));
            }
        }
        plan
    }
}

/// Channels of a convolution, in groups that do not see each other: `weights[out][in / groups][tap]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
    pub(crate) groups: usize,
}

impl Channels {
    /// The same for one group.
    fn one(self) -> Self {
        Self { n_in: self.n_in / self.groups, n_out: self.n_out / self.groups, groups: 1 }
    }

    /// Numbers that a convolution has.
    pub(crate) fn n_weights(self, taps: usize) -> usize {
        self.n_in / self.groups * self.n_out * taps
    }
}

/// Adds the convolution of `x` to `y`.
pub(crate) fn convolve(
    plan: &Plan,
    channels: Channels,
    weights: &[f32],
    x: &[f32],
    batch: usize,
    y: &mut [f32],
) {
    let one = channels.one();
    let n = one.n_weights(plan.taps);
    let (n_x, n_y) = (one.n_in * plan.from * batch, one.n_out * plan.windows.len() * batch);
    for group in 0..channels.groups {
        let at = |out: usize, from: usize, tap: usize| {
            weights[group * n + (out * one.n_in + from) * plan.taps + tap]
        };
        let (x, y) = (&x[group * n_x..][..n_x], &mut y[group * n_y..][..n_y]);
        sum_seen(&plan.windows, plan.from, one, plan.taps, at, x, batch, y);
    }
}

/// Adds the slope of the loss by `x` to `dx`, given that by the convolution of `x`.
pub(crate) fn convolve_back(
    plan: &Plan,
    channels: Channels,
    weights: &[f32],
    dy: &[f32],
    batch: usize,
    dx: &mut [f32],
) {
    let one = channels.one();
    let n = one.n_weights(plan.taps);
    let (n_x, n_y) = (one.n_in * plan.from * batch, one.n_out * plan.windows.len() * batch);
    let turned = Channels { n_in: one.n_out, n_out: one.n_in, groups: 1 };
    for group in 0..channels.groups {
        let at = |from: usize, out: usize, tap: usize| {
            weights[group * n + (out * one.n_in + from) * plan.taps + tap]
        };
        let (dy, dx) = (&dy[group * n_y..][..n_y], &mut dx[group * n_x..][..n_x]);
        sum_seen(&plan.seen_by, plan.windows.len(), turned, plan.taps, at, dy, batch, dx);
    }
}

/// Adds the slope of the loss by the weights to `dw`.
pub(crate) fn convolve_slopes(
    plan: &Plan,
    channels: Channels,
    x: &[f32],
    dy: &[f32],
    batch: usize,
    dw: &mut [f32],
) {
    const G: usize = 4;
    let one = channels.one();
    let n = one.n_weights(plan.taps);
    let (n_x, n_y) = (plan.from * batch, plan.windows.len() * batch);
    for group in 0..channels.groups {
        let (first_in, first_out) = (group * one.n_in, group * one.n_out);
        for out in (0..one.n_out).step_by(G) {
            // Of the last few some are counted again and let fall.
            let rows: [&[f32]; G] = std::array::from_fn(|g| {
                let out = first_out + (out + g).min(one.n_out - 1);
                &dy[out * n_y..][..n_y]
            });
            for from in 0..one.n_in {
                let x = &x[(first_in + from) * n_x..][..n_x];
                for (tap, pairs) in plan.pairs.iter().enumerate() {
                    let mut sums = [[0.0_f32; LANES]; G];
                    for &(window, pixel) in pairs {
                        for block in (0..batch).step_by(LANES) {
                            let x = lanes(x, pixel * batch + block);
                            for (sum, row) in sums.iter_mut().zip(&rows) {
                                let dy = lanes(row, window * batch + block);
                                (0..LANES).for_each(|l| sum[l] += dy[l] * x[l]);
                            }
                        }
                    }
                    for (g, sum) in sums.iter().enumerate().take(one.n_out - out) {
                        dw[group * n + ((out + g) * one.n_in + from) * plan.taps + tap] +=
                            sum.iter().sum::<f32>();
                    }
                }
            }
        }
    }
}

fn lanes(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..].first_chunk().expect("batches are multiples")
}

/// For each place the sum over what is seen from it, weighted: four channels at a time where there are as many.
#[expect(clippy::too_many_arguments, reason = "one loop under three doors")]
fn sum_seen(
    seen: &[Vec<Seen>],
    n_from: usize,
    channels: Channels,
    taps: usize,
    weight: impl Fn(usize, usize, usize) -> f32,
    x: &[f32],
    batch: usize,
    y: &mut [f32],
) {
    if channels.n_out < 3 {
        sum_grouped::<1>(seen, n_from, channels, taps, weight, x, batch, y);
    } else {
        sum_grouped::<4>(seen, n_from, channels, taps, weight, x, batch, y);
    }
}

#[expect(clippy::too_many_arguments, reason = "one loop under three doors")]
fn sum_grouped<const G: usize>(
    seen: &[Vec<Seen>],
    n_from: usize,
    channels: Channels,
    taps: usize,
    weight: impl Fn(usize, usize, usize) -> f32,
    x: &[f32],
    batch: usize,
    y: &mut [f32],
) {
    let Channels { n_in, n_out, .. } = channels;
    let (n_places, mut weights) = (seen.len(), vec![[0.0_f32; G]; n_in * taps]);
    for first in (0..n_out).step_by(G) {
        for (k, weights) in weights.iter_mut().enumerate() {
            for (g, w) in weights.iter_mut().enumerate().take(n_out - first) {
                *w = weight(first + g, k / taps, k % taps);
            }
        }
        for block in (0..batch).step_by(LANES) {
            for (place, seen) in seen.iter().enumerate() {
                let mut sums = [[0.0_f32; LANES]; G];
                for from in 0..n_in {
                    let weights = &weights[from * taps..][..taps];
                    let x = &x[from * n_from * batch..][..n_from * batch];
                    for &(tap, pixel) in seen {
                        let x = lanes(x, pixel * batch + block);
                        let w = &weights[tap];
                        for (sum, w) in sums.iter_mut().zip(w) {
                            (0..LANES).for_each(|l| sum[l] += w * x[l]);
                        }
                    }
                }
                for (g, sum) in sums.iter().enumerate().take(n_out - first) {
                    let at = ((first + g) * n_places + place) * batch + block;
                    y[at..at + LANES].iter_mut().zip(sum).for_each(|(y, sum)| *y += sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of a 3 x 3 window over 4 x 4 pixels, every second: the first sees no pixel above or left of it.
    #[test]
    fn windows_see_fewer_pixels_at_the_edges() {
        let plan = Plan::new(4, 3, 2, 1);
        assert_eq!(plan.side, 2);
        assert_eq!(plan.windows[0], [(4, 0), (5, 1), (7, 4), (8, 5)]);
        assert_eq!(plan.windows[3].len(), 9);
        // Of an even size, windows lie side by side, and one of three pixels has a last one of its own.
        assert_eq!(Plan::new(3, 2, 2, 1).windows[3], [(0, 8)]);
    }

    /// By hand: one channel, the sum of a pixel and its right neighbour times 2.
    #[test]
    fn a_convolution_is_counted_by_hand() {
        let plan = Plan::new(2, 3, 1, 1);
        let channels = Channels { n_in: 1, n_out: 1, groups: 1 };
        let mut weights = [0.0; 9];
        (weights[4], weights[5]) = (1.0, 2.0);
        let x: Vec<f32> = [1.0, 2.0, 3.0, 4.0].iter().flat_map(|x| [*x; LANES]).collect();
        let mut y = vec![0.0; x.len()];
        convolve(&plan, channels, &weights, &x, LANES, &mut y);
        let first: Vec<f32> = y.iter().step_by(LANES).copied().collect();
        assert_eq!(first, [1.0 + 2.0 * 2.0, 2.0, 3.0 + 2.0 * 4.0, 4.0]);
    }
}
