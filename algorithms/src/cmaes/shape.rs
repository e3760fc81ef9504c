//! The covariance matrix C of a search distribution, and its root.

use ndarray::{Array1, Array2, Axis};

use super::eigen::eigen;

/// Most dimensions of a full matrix. Above it only the diagonal is learnt: a full one would take more trials than there ever
/// are, and its decomposition more time than a question may.
const MAX_FULL: usize = 40;

/// A step from the mean, in the distribution's own units.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) y: Array1<f64>,
    /// `|C^(-1/2) y|`.
    pub(super) length: f64,
    pub(super) weight: f64,
}

/// C, n by n, symmetric and positive definite.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// With `C = B D^2 B'`, as it was `behind` generations ago: eigenvectors in the columns of `basis`, roots of eigenvalues
    /// in `scales`.
    Full { covariance: Array2<f64>, basis: Array2<f64>, scales: Array1<f64>, behind: u32 },
    /// Zero off the diagonal (Ros and Hansen 2008, "A Simple Modification in CMA-ES", PPSN).
    Diagonal { variances: Array1<f64> },
}

impl Shape {
    /// The identity.
    pub(super) fn new(n: usize) -> Self {
        if n > MAX_FULL {
            return Self::Diagonal { variances: Array1::ones(n) };
        }
        Self::Full { covariance: Array2::eye(n), basis: Array2::eye(n), scales: Array1::ones(n), behind: 0 }
    }

    /// What this kind of shape keeps of a covariance.
    pub(super) fn with(self, covariance: Array2<f64>) -> Self {
        match self {
            Self::Full { basis, scales, behind, .. } => {
                let mut shape = Self::Full { covariance, basis, scales, behind };
                shape.decompose();
                shape
            }
            Self::Diagonal { .. } => Self::Diagonal { variances: covariance.diag().to_owned() },
        }
    }

    /// Whether only the diagonal is learnt.
    pub(super) fn is_diagonal(&self) -> bool {
        matches!(self, Self::Diagonal { .. })
    }

    /// `C^(1/2) z` up to a rotation of z: `B D z`.
    pub(super) fn root(&self, z: &Array1<f64>) -> Array1<f64> {
        match self {
            Self::Full { basis, scales, .. } => basis.dot(&(z * scales)),
            Self::Diagonal { variances } => z * &variances.mapv(f64::sqrt),
        }
    }

    /// `C^(-1/2) y`.
    pub(super) fn whiten(&self, y: &Array1<f64>) -> Array1<f64> {
        match self {
            Self::Full { basis, scales, .. } => basis.dot(&(basis.t().dot(y) / scales)),
            Self::Diagonal { variances } => y / &variances.mapv(f64::sqrt),
        }
    }

    /// C times a factor.
    pub(super) fn scale(&mut self, factor: f64) {
        match self {
            Self::Full { covariance, .. } => *covariance *= factor,
            Self::Diagonal { variances } => *variances *= factor,
        }
    }

    /// C plus `factor y y'`.
    pub(super) fn add(&mut self, factor: f64, y: &Array1<f64>) {
        match self {
            Self::Full { covariance, .. } => {
                let column = y.view().insert_axis(Axis(1));
                covariance.scaled_add(factor, &column.dot(&column.t()));
            }
            Self::Diagonal { variances } => variances.scaled_add(factor, &(y * y)),
        }
    }

    /// Ends a generation; the root is made anew if it is more than `lag` generations behind.
    pub(super) fn settle(&mut self, lag: f64) {
        match self {
            Self::Full { behind, .. } => {
                *behind += 1;
                if f64::from(*behind) > lag {
                    self.decompose();
                }
            }
            Self::Diagonal { variances } => variances.mapv_inplace(|variance| variance.max(1e-30)),
        }
    }

    fn decompose(&mut self) {
        if let Self::Full { covariance, basis, scales, behind } = self {
            let (values, vectors) = eigen(covariance);
            *scales = values.mapv(|value| value.max(1e-30).sqrt());
            *basis = vectors;
            *behind = 0;
        }
    }

    /// `C[j, j]`.
    pub(super) fn variance(&self, j: usize) -> f64 {
        match self {
            Self::Full { covariance, .. } => covariance[[j, j]].max(1e-30),
            Self::Diagonal { variances } => variances[j],
        }
    }

    /// The least and the largest deviation along any direction.
    pub(super) fn extremes(&self) -> (f64, f64) {
        let span = |scales: &mut dyn Iterator<Item = f64>| {
            scales.fold((f64::INFINITY, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)))
        };
        match self {
            Self::Full { scales, .. } => span(&mut scales.iter().copied()),
            Self::Diagonal { variances } => span(&mut variances.iter().map(|variance| variance.sqrt())),
        }
    }
}
