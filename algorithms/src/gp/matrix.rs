//! The little linear algebra that a Gaussian process needs, on lower triangles stored by rows.

use ndarray::{Array1, Array2, ArrayView1};

/// The Cholesky factor `L` of a symmetric positive definite matrix, `A = L L'`; `None` if it is not.
pub(super) fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut l = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let (row_i, row_j) = (l.row(i), l.row(j));
            let sum = a[[i, j]] - dot(row_i, row_j, j);
            if i == j {
                if sum <= 0.0 || !sum.is_finite() {
                    return None;
                }
                l[[i, i]] = sum.sqrt();
            } else {
                l[[i, j]] = sum / l[[j, j]];
            }
        }
    }
    Some(l)
}

fn dot(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>, n: usize) -> f64 {
    match (a.as_slice(), b.as_slice()) {
        (Some(a), Some(b)) => a[..n].iter().zip(&b[..n]).map(|(a, b)| a * b).sum(),
        _ => (0..n).map(|i| a[i] * b[i]).sum(),
    }
}

/// Solves `L x = b`.
pub(super) fn solve_lower(l: &Array2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let mut x = b.clone();
    for i in 0..b.len() {
        let sum = x[i] - dot(l.row(i), x.view(), i);
        x[i] = sum / l[[i, i]];
    }
    x
}

/// Solves `L' x = b`.
pub(super) fn solve_upper(l: &Array2<f64>, b: &Array1<f64>) -> Array1<f64> {
    let mut x = b.clone();
    for i in (0..b.len()).rev() {
        x[i] /= l[[i, i]];
        let xi = x[i];
        for j in 0..i {
            x[j] -= l[[i, j]] * xi;
        }
    }
    x
}

/// The inverse of `A = L L'`.
pub(super) fn inverse(l: &Array2<f64>) -> Array2<f64> {
    let n = l.nrows();
    // Rows of `M = L^-1`, transposed access avoided by building M row by row.
    let mut m = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        m[[i, i]] = 1.0 / l[[i, i]];
        for j in 0..i {
            let sum: f64 = (j..i).map(|k| l[[i, k]] * m[[k, j]]).sum();
            m[[i, j]] = -sum / l[[i, i]];
        }
    }
    m.t().dot(&m)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_factor_gives_back_its_matrix_and_solves() {
        let a = array![[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let l = cholesky(&a).unwrap();
        assert!((l.dot(&l.t()) - &a).iter().all(|x| x.abs() < 1e-12));
        let b = array![1.0, -2.0, 0.5];
        let x = solve_upper(&l, &solve_lower(&l, &b));
        assert!((a.dot(&x) - &b).iter().all(|x| x.abs() < 1e-12));
        assert!((a.dot(&inverse(&l)) - Array2::<f64>::eye(3)).iter().all(|x| x.abs() < 1e-12));
    }

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        assert!(cholesky(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
