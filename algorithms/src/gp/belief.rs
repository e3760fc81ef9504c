//! What the user believes of where the best point lies, as it enters the acquisition.

use study::{Parameter, Space};

use super::ensemble::Factor;
use super::kernel::Point;
use crate::prior::log_density_at;

/// Step of the finite differences along a coordinate.
const STEP: f64 = 1e-4;

/// The believed density to the power of beta / n (see [`crate::prior`]).
pub(super) struct Belief<'a> {
    parameters: &'a [Parameter],
    exponent: f64,
}

impl<'a> Belief<'a> {
    /// The belief of a space; `None` where nothing is believed.
    pub(super) fn new(space: &'a Space, exponent: f64) -> Option<Self> {
        let parameters = space.parameters();
        let believes = parameters.iter().any(|parameter| parameter.prior.is_some());
        believes.then_some(Self { parameters, exponent })
    }

    fn along(&self, axis: usize, u: f64) -> f64 {
        self.exponent * log_density_at(&self.parameters[axis], u)
    }
}

impl Factor for Belief<'_> {
    fn log(&self, x: &Point) -> f64 {
        let own = x.iter().take(self.parameters.len());
        let active = own.enumerate().filter(|(_, u)| !u.is_nan());
        active.map(|(axis, u)| self.along(axis, *u)).sum()
    }

    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>) {
        let along = |axis: &usize| {
            let (low, high) = ((x[*axis] - STEP).max(0.0), (x[*axis] + STEP).min(1.0));
            (self.along(*axis, high) - self.along(*axis, low)) / (high - low)
        };
        (self.log(x), axes.iter().map(along).collect())
    }
}

#[cfg(test)]
mod tests {
    use study::Prior;

    use super::*;
    use crate::testing;

    fn space() -> Space {
        let mut parameters = testing::mixed().parameters().to_vec();
        parameters[0].prior = Some(Prior::Normal { mean: 2.0, std: 0.5 });
        Space::new(parameters, vec![]).unwrap()
    }

    #[test]
    fn it_is_highest_where_the_user_believes_the_best_and_fades() {
        let space = space();
        let at = |u: f64, exponent: f64| Belief::new(&space, exponent).unwrap().log(&vec![u, 0.5, 0.5]);
        assert!(at(0.75, 1.0) > at(0.6, 1.0) + 0.5, "the mean lies three quarters of the way");
        assert!((at(0.75, 0.1) - 0.1 * at(0.75, 1.0)).abs() < 1e-12);
        assert!(Belief::new(&testing::mixed(), 1.0).is_none());
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let space = space();
        let belief = Belief::new(&space, 1.5).unwrap();
        for u in [0.3, 0.7, 1.0] {
            let (value, slopes) = belief.slopes(&vec![u, 0.5, 0.5], &[0, 2]);
            let at = |u: f64| belief.log(&vec![u, 0.5, 0.5]);
            let expected = (at(u) - at(u - 1e-6)) / 1e-6;
            assert!(
                (value - at(u)).abs() < 1e-12
                    && (slopes[0] - expected).abs() < 0.01
                    && slopes[1].abs() < 1e-12,
                "{slopes:?} {expected}"
            );
        }
    }
}
