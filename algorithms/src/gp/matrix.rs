//! The little linear algebra that a Gaussian process needs, on lower triangles stored by rows.
//!
//! Products of matrices are those of the crate `matrixmultiply`, which takes the widest vectors that the machine has.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};

/// Rows and columns of a block.
const BLOCK: usize = 32;

/// The lower triangle of a square matrix: of a symmetric one all there is to know, or a factor.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lower {
    n: usize,
    /// Row by row, row i having i + 1 entries.
    entries: Vec<f64>,
}

impl Lower {
    /// The triangle of these entries, row by row; `n (n + 1) / 2` of them.
    pub(super) fn new(n: usize, entries: Vec<f64>) -> Self {
        debug_assert_eq!(entries.len(), n * (n + 1) / 2);
        Self { n, entries }
    }

    /// The triangle with entry (i, j) given by `of`.
    pub(super) fn from_fn(n: usize, mut of: impl FnMut(usize, usize) -> f64) -> Self {
        let mut entries = Vec::with_capacity(n * (n + 1) / 2);
        for i in 0..n {
            entries.extend((0..=i).map(|j| of(i, j)));
        }
        Self { n, entries }
    }

    /// Number of rows.
    pub(super) fn n(&self) -> usize {
        self.n
    }

    /// All entries, row by row.
    pub(super) fn entries(&self) -> &[f64] {
        &self.entries
    }

    fn start(i: usize) -> usize {
        i * (i + 1) / 2
    }

    /// Row i, up to the diagonal and with it.
    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.entries[Self::start(i)..Self::start(i + 1)]
    }

    /// Positions of the diagonal among the entries.
    pub(super) fn diagonal(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.n).map(|i| Self::start(i + 1) - 1)
    }

    /// The matrix with a number added along the diagonal.
    pub(super) fn plus_diagonal(mut self, x: f64) -> Self {
        self.diagonal().for_each(|at| self.entries[at] += x);
        self
    }

    /// Adds a row at the bottom; `row` is as long as there are rows, the corner lies on the diagonal.
    pub(super) fn push(&mut self, row: &[f64], corner: f64) {
        self.entries.extend_from_slice(row);
        self.entries.push(corner);
        self.n += 1;
    }
}

/// The inner product of the common length, in eight sums that run side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mut sums = [0.0_f64; 8];
    let (chunks_a, chunks_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `a += factor b` over the common length.
pub(super) fn add_scaled(a: &mut [f64], factor: f64, b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += factor * b;
    }
}

/// The Cholesky factor `L` of a symmetric positive definite matrix, `A = L L'`; `None` if it is not. Block by block, what
/// is right of a block being made up to date by a product of matrices (Golub and Van Loan 2013, section 4.2.6). Kept by
/// columns, so that all of a column is worked on at once.
pub(super) fn cholesky(a: &Lower) -> Option<Lower> {
    let n = a.n;
    let mut columns = dense(a).reversed_axes().as_standard_layout().into_owned();
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        for j in start..end {
            let (done, mut rest) = columns.view_mut().split_at(Axis(0), j);
            let now = &mut rest.as_slice_mut()?[j..n];
            for k in start..j {
                let before = &done.row(k).to_slice()?[j..];
                add_scaled(now, -before[0], before);
            }
            if !(now[0] > 0.0 && now[0].is_finite()) {
                return None;
            }
            let corner = now[0].sqrt();
            now.iter_mut().for_each(|x| *x /= corner);
        }
        let (panel, mut rest) = columns.view_mut().split_at(Axis(0), end);
        let panel = part(panel.view(), start..end, end..n);
        for from in (end..n).step_by(BLOCK) {
            let to = (from + BLOCK).min(n);
            let beside = part(panel, 0..end - start, from - end..to - end);
            let below = part(panel, 0..end - start, from - end..n - end);
            let mut right = part_mut(rest.view_mut(), from - end..to - end, from..n);
            general_mat_mul(-1.0, &beside.t(), &below, 1.0, &mut right);
        }
    }
    Some(Lower::from_fn(n, |i, j| columns[[j, i]]))
}

/// The square matrix with this lower triangle, zero above.
fn dense(a: &Lower) -> Array2<f64> {
    let mut dense = Array2::zeros((a.n, a.n));
    for (i, mut row) in dense.rows_mut().into_iter().enumerate() {
        row.iter_mut().zip(a.row(i)).for_each(|(to, from)| *to = *from);
    }
    dense
}

fn part(mut a: ArrayView2<'_, f64>, rows: Range<usize>, columns: Range<usize>) -> ArrayView2<'_, f64> {
    a.slice_axis_inplace(Axis(0), rows.into());
    a.slice_axis_inplace(Axis(1), columns.into());
    a
}

fn part_mut(
    mut a: ArrayViewMut2<'_, f64>,
    rows: Range<usize>,
    columns: Range<usize>,
) -> ArrayViewMut2<'_, f64> {
    a.slice_axis_inplace(Axis(0), rows.into());
    a.slice_axis_inplace(Axis(1), columns.into());
    a
}

/// Solves `L x = b`.
pub(super) fn solve_lower(l: &Lower, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..x.len() {
        let row = l.row(i);
        x[i] = (x[i] - dot(&row[..i], &x)) / row[i];
    }
    x
}

/// Solves `L' x = b`.
pub(super) fn solve_upper(l: &Lower, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in (0..x.len()).rev() {
        let row = l.row(i);
        x[i] /= row[i];
        let (before, xi) = (&row[..i], x[i]);
        add_scaled(&mut x, -xi, before);
    }
    x
}

/// The inverse of `A = L L'`, by way of `M = L^-1` and `A^-1 = M' M`, block by block.
pub(super) fn inverse(l: &Lower) -> Lower {
    let n = l.n;
    let l = dense(l);
    let mut m = Array2::<f64>::zeros((n, n));
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        // L M = I: rows of the block, first less what the blocks above give, then one after the other.
        let above = part(l.view(), start..end, 0..start).dot(&part(m.view(), 0..start, 0..start));
        for i in start..end {
            let (done, mut rest) = m.view_mut().split_at(Axis(0), i);
            let Some(now) = rest.as_slice_mut() else { continue };
            now[..start].iter_mut().zip(above.row(i - start)).for_each(|(x, above)| *x = -above);
            for k in start..i {
                let Some(earlier) = done.row(k).to_slice() else { continue };
                add_scaled(&mut now[..=k], -l[[i, k]], &earlier[..=k]);
            }
            now[i] = 1.0;
            now[..=i].iter_mut().for_each(|x| *x /= l[[i, i]]);
        }
    }
    let mut inverse = Array2::<f64>::zeros((n, n));
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let (left, right) = (part(m.view(), start..n, start..end), part(m.view(), start..n, 0..end));
        general_mat_mul(1.0, &left.t(), &right, 0.0, &mut part_mut(inverse.view_mut(), start..end, 0..end));
    }
    Lower::from_fn(n, |i, j| inverse[[i, j]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(a: &Lower, i: usize, j: usize) -> f64 {
        a.row(i.max(j))[i.min(j)]
    }

    /// Diagonally dominant, so positive definite.
    fn matrix(n: usize) -> Lower {
        Lower::from_fn(n, |i, j| if i == j { n as f64 } else { ((i * 7 + j * 3) % 5) as f64 / 5.0 - 0.3 })
    }

    #[test]
    fn a_factor_gives_back_its_matrix_and_solves() {
        let n = 75;
        let a = matrix(n);
        let l = cholesky(&a).unwrap();
        let again = Lower::from_fn(n, |i, j| dot(l.row(i), l.row(j)));
        assert!(again.entries().iter().zip(a.entries()).all(|(x, y)| (x - y).abs() < 1e-12));
        let b: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let x = solve_upper(&l, &solve_lower(&l, &b));
        let inverse = inverse(&l);
        for (i, b) in b.iter().enumerate() {
            let row: f64 = (0..n).map(|k| symmetric(&a, i, k) * x[k]).sum();
            assert!((row - b).abs() < 1e-12);
            for j in 0..n {
                let product: f64 = (0..n).map(|k| symmetric(&a, i, k) * symmetric(&inverse, k, j)).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j} {product}");
            }
        }
    }

    #[test]
    fn a_factor_grows_by_a_row() {
        let (small, large) = (matrix(6), matrix(7));
        let same = Lower::from_fn(7, |i, j| if i == 6 { large.row(6)[j] } else { symmetric(&small, i, j) });
        let mut l = cholesky(&small).unwrap();
        let row = solve_lower(&l, &same.row(6)[..6]);
        let corner = (same.row(6)[6] - dot(&row, &row)).sqrt();
        l.push(&row, corner);
        let whole = cholesky(&same).unwrap();
        assert!(l.entries().iter().zip(whole.entries()).all(|(x, y)| (x - y).abs() < 1e-12));
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(cholesky(&Lower::new(2, vec![1.0, 2.0, 1.0])).is_none());
    }
}
