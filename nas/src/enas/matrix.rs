//! Products of a matrix, a slice row by row, with a vector. Sums run in a fixed order, so results are the same bits.

/// Numbers summed side by side.
const LANES: usize = 8;

/// The scalar product of two vectors of one length.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = a.as_chunks::<LANES>();
    let (others, other_rest) = b.as_chunks::<LANES>();
    for (a, b) in chunks.iter().zip(others) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = rest.iter().zip(other_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// `y += scale x`.
pub(super) fn add(y: &mut [f64], scale: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += scale * x;
    }
}

/// `W x`, one number a row.
pub(super) fn times(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

/// `y += W' d`, with one number of `d` a row of `W`.
pub(super) fn add_transposed(y: &mut [f64], w: &[f64], d: &[f64]) {
    let n = y.len();
    for (row, d) in w.chunks_exact(n).zip(d) {
        add(y, *d, row);
    }
}

/// `W += d x'`.
pub(super) fn add_outer(w: &mut [f64], d: &[f64], x: &[f64]) {
    for (row, d) in w.chunks_exact_mut(x.len()).zip(d) {
        add(row, *d, x);
    }
}
