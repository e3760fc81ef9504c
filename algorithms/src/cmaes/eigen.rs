//! Eigenvalues and eigenvectors of a symmetric matrix.

use ndarray::{Array1, Array2};

/// Sweeps after which rotations are taken to have converged; they do so quadratically, in about 6 to 10.
const MAX_SWEEPS: usize = 50;

/// Eigenvalues and, in the columns of the matrix, their orthonormal eigenvectors, of a symmetric n by n matrix: `A = V
/// diag(values) V'`. In no particular order. Cyclic Jacobi rotations (Golub and Van Loan 2013, algorithm 8.5.3).
pub(super) fn eigen(a: &Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = a.nrows();
    let (mut a, mut v) = (a.clone(), Array2::<f64>::eye(n));
    let total = a.iter().map(|x| x * x).sum::<f64>();
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..n).flat_map(|p| (0..p).map(move |q| (p, q))).map(|at| a[at] * a[at]).sum();
        if off <= 1e-30 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, p, q);
            }
        }
    }
    (a.diag().to_owned(), v)
}

/// The rotation of rows and columns `p` and `q` that makes `a[p, q]` zero.
fn rotate(a: &mut Array2<f64>, v: &mut Array2<f64>, p: usize, q: usize) {
    if a[[p, q]] == 0.0 {
        return;
    }
    let tau = (a[[q, q]] - a[[p, p]]) / (2.0 * a[[p, q]]);
    let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    let turn = |x: f64, y: f64| (c * x - s * y, s * x + c * y);
    for k in 0..a.nrows() {
        (a[[k, p]], a[[k, q]]) = turn(a[[k, p]], a[[k, q]]);
        (v[[k, p]], v[[k, q]]) = turn(v[[k, p]], v[[k, q]]);
    }
    for k in 0..a.nrows() {
        (a[[p, k]], a[[q, k]]) = turn(a[[p, k]], a[[q, k]]);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_matrix_with_known_eigenvalues() {
        let (values, _) = eigen(&array![[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 5.0]]);
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        assert!(values.iter().zip([1.0, 3.0, 5.0]).all(|(got, expected)| (got - expected).abs() < 1e-12));
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_matrix(entries in proptest::collection::vec(-10.0..10.0_f64, 36)) {
            let half = Array2::from_shape_vec((6, 6), entries).unwrap();
            let a = &half + &half.t();
            let (values, v) = eigen(&a);
            let again = v.dot(&Array2::from_diag(&values)).dot(&v.t());
            prop_assert!((&again - &a).iter().all(|x| x.abs() < 1e-10));
            prop_assert!((v.t().dot(&v) - Array2::<f64>::eye(6)).iter().all(|x| x.abs() < 1e-12));
        }
    }
}
