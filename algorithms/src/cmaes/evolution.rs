//! Covariance matrix adaptation: one search distribution and how it learns from a generation.
//!
//! Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; equation numbers are those of its figure 6
//! and table 1.
//!
//! | symbol | here | meaning |
//! |---|---|---|
//! | n, lambda, mu | | dimensions, points of a generation, how many of them pull the mean |
//! | m, sigma, C | `mean, sigma, shape` | the distribution: normal with mean m and covariance `sigma^2 A C A` |
//! | A | `stretch` | a factor for each axis, 1 but where a lattice needs more, so that C learns the shape alone |
//! | p_sigma, p_c | `path_sigma, path_c` | evolution paths, length n |
//! | y | | a step from the mean, `A^-1 (x - m) / sigma` |

use ndarray::{Array1, Array2};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::shape::{Shape, Step};

/// Parameters of the strategy.
#[derive(Clone, Debug)]
pub(super) struct Strategy {
    pub(super) lambda: usize,
    pub(super) mu: usize,
    /// Length lambda, falling; the first mu sum to 1, the rest are not above 0.
    pub(super) weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_c: f64,
    c_1: f64,
    c_mu: f64,
    /// `E |N(0, I)|`.
    chi: f64,
}

impl Strategy {
    /// The population that suits `n` dimensions: eq. 48.
    pub(super) fn population(n: usize) -> usize {
        4 + (3.0 * (n as f64).ln()).floor() as usize
    }

    /// Defaults for `n >= 1` dimensions and `lambda >= 4` points: eq. 49 to 58. `diagonal`: only variances are learnt, and
    /// faster by (n + 2) / 3 (Ros and Hansen 2008, PPSN, section 3).
    pub(super) fn new(n: usize, lambda: usize, diagonal: bool) -> Self {
        let (dims, mu) = (n as f64, lambda / 2);
        let raw: Vec<f64> =
            (1..=lambda).map(|i| f64::midpoint(lambda as f64, 1.0).ln() - (i as f64).ln()).collect();
        let effective = |w: &[f64]| w.iter().sum::<f64>().powi(2) / w.iter().map(|w| w * w).sum::<f64>();
        let (mu_eff, mu_eff_minus) = (effective(&raw[..mu]), effective(&raw[mu..]));
        let faster = if diagonal { (dims + 2.0) / 3.0 } else { 1.0 };
        let c_1 = (faster * 2.0 / ((dims + 1.3).powi(2) + mu_eff)).min(0.5);
        let c_mu = (1.0 - c_1)
            .min(faster * 2.0 * (0.25 + mu_eff + 1.0 / mu_eff - 2.0) / ((dims + 2.0).powi(2) + mu_eff));
        let negative = (1.0 + c_1 / c_mu)
            .min(1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0))
            .min((1.0 - c_1 - c_mu) / (dims * c_mu));
        let plus: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let minus: f64 = -raw.iter().filter(|w| **w < 0.0).sum::<f64>();
        let weights =
            raw.iter().map(|w| if *w >= 0.0 { w / plus } else { negative * w / minus.max(1e-12) }).collect();
        let c_sigma = (mu_eff + 2.0) / (dims + mu_eff + 5.0);
        Self {
            lambda,
            mu,
            weights,
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (dims + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_c: (4.0 + mu_eff / dims) / (dims + 4.0 + 2.0 * mu_eff / dims),
            c_1,
            c_mu,
            chi: dims.sqrt() * (1.0 - 1.0 / (4.0 * dims) + 1.0 / (21.0 * dims * dims)),
        }
    }
}

/// A search distribution over the line of each axis.
#[derive(Clone, Debug)]
pub(super) struct Evolution {
    pub(super) strategy: Strategy,
    mean: Array1<f64>,
    sigma: f64,
    shape: Shape,
    stretch: Array1<f64>,
    path_sigma: Array1<f64>,
    path_c: Array1<f64>,
    /// Generations so far.
    pub(super) generation: u32,
}

impl Evolution {
    /// A distribution that has learnt nothing. `mean`: length n; `sigma` above 0.
    pub(super) fn new(mean: Vec<f64>, sigma: f64, lambda: usize) -> Self {
        let n = mean.len();
        let shape = Shape::new(n);
        Self {
            strategy: Strategy::new(n, lambda, shape.is_diagonal()),
            mean: Array1::from(mean),
            sigma,
            shape,
            stretch: Array1::ones(n),
            path_sigma: Array1::zeros(n),
            path_c: Array1::zeros(n),
            generation: 0,
        }
    }

    /// The same with a covariance, n by n.
    pub(super) fn with_covariance(mut self, covariance: Array2<f64>) -> Self {
        self.shape = self.shape.with(covariance);
        self
    }

    /// m.
    pub(super) fn mean(&self) -> Vec<f64> {
        self.mean.to_vec()
    }

    /// n.
    pub(super) fn dims(&self) -> usize {
        self.mean.len()
    }

    /// Draws a point, of length n: eq. 38 to 40.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let normal = Normal::standard();
        let uniform = |_| rng.random::<f64>().clamp(1e-16, 1.0 - 1e-16);
        let z: Array1<f64> = (0..self.dims()).map(uniform).map(|u| normal.inverse_cdf(u)).collect();
        (&self.mean + &(self.sigma * &self.stretch * self.shape.root(&z))).to_vec()
    }

    /// Learns from a generation: lambda points, the best first. They may come from anywhere, so steps longer than the
    /// distribution makes are shortened (Hansen 2011, "Injecting external solutions into CMA-ES", arXiv:1110.4181).
    pub(super) fn update(&mut self, ranked: &[Vec<f64>]) {
        let (n, s) = (self.mean.len() as f64, self.strategy.clone());
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        let steps: Vec<Step> = ranked
            .iter()
            .zip(&s.weights)
            .map(|(x, weight)| {
                let y = (Array1::from(x.clone()) - &self.mean) / (self.sigma * &self.stretch);
                let length = norm(&self.shape.whiten(&y));
                let shorter = (longest / length.max(1e-300)).min(1.0);
                Step { y: y * shorter, length: length * shorter, weight: *weight }
            })
            .collect();
        let mut mean_step = Array1::<f64>::zeros(self.mean.len()); // eq. 41
        for step in steps.iter().take(s.mu) {
            mean_step.scaled_add(step.weight, &step.y);
        }
        self.mean += &(self.sigma * &self.stretch * &mean_step); // eq. 42
        let white = self.shape.whiten(&mean_step);
        self.path_sigma *= 1.0 - s.c_sigma; // eq. 43
        self.path_sigma.scaled_add((s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff).sqrt(), &white);
        let length = norm(&self.path_sigma);
        self.generation += 1;
        let settled = (1.0 - (1.0 - s.c_sigma).powf(2.0 * f64::from(self.generation))).sqrt();
        let h_sigma = f64::from(u8::from(length / settled < (1.4 + 2.0 / (n + 1.0)) * s.chi));
        self.path_c *= 1.0 - s.c_c; // eq. 45
        self.path_c.scaled_add(h_sigma * (s.c_c * (2.0 - s.c_c) * s.mu_eff).sqrt(), &mean_step);
        self.learn_shape(&steps, h_sigma);
        self.sigma *= (s.c_sigma / s.d_sigma * (length / s.chi - 1.0)).min(1.0).exp(); // eq. 44
    }

    /// Eq. 46 and 47.
    fn learn_shape(&mut self, steps: &[Step], h_sigma: f64) {
        let (n, s) = (self.mean.len() as f64, &self.strategy);
        let sum: f64 = s.weights.iter().sum();
        let kept = 1.0 + s.c_1 * (1.0 - h_sigma) * s.c_c * (2.0 - s.c_c) - s.c_1 - s.c_mu * sum;
        self.shape.scale(kept);
        self.shape.add(s.c_1, &self.path_c);
        for step in steps {
            let scaled = if step.weight >= 0.0 { 1.0 } else { n / step.length.powi(2).max(1e-12) };
            self.shape.add(s.c_mu * step.weight * scaled, &step.y);
        }
        // Decomposed anew when enough has changed: tutorial, B.2.
        self.shape.settle(0.1 / (n * (s.c_1 + s.c_mu)));
    }

    /// Keeps the deviation along axis `j` above a floor.
    pub(super) fn widen(&mut self, j: usize, floor: f64) {
        let unstretched = self.sigma * self.shape.variance(j).sqrt();
        self.stretch[j] = (floor / unstretched).max(1.0);
    }

    /// Whether it has shrunk to a point or degenerated, so that more generations would find nothing (tutorial, B.3:
    /// `TolX`, `TolXUp`, `ConditionCov`).
    pub(super) fn is_spent(&self) -> bool {
        let (shortest, longest) = self.shape.extremes();
        let reach = self.sigma * longest;
        !(1e-9..1e4).contains(&reach) || longest / shortest > 1e7
    }
}

fn norm(x: &Array1<f64>) -> f64 {
    x.dot(x).sqrt()
}

#[cfg(test)]
mod tests {
    use study::TrialIdx;

    use super::*;
    use crate::rng::Streams;

    /// By pycma 4.5.0: `sp = cma.CMAEvolutionStrategy(10 * [0.5], 0.3, {"popsize": 10}).sp`, then `list(sp.weights)`,
    /// `sp.weights.mueff`, `sp.c1`, `sp.cmu`, `sp.cc`.
    #[test]
    fn parameters_are_those_of_others() {
        let s = Strategy::new(10, Strategy::population(10), false);
        assert_eq!((s.lambda, s.mu), (10, 5));
        let weights = [
            0.456_272_646_9,
            0.270_753_097_0,
            0.162_231_117_2,
            0.085_233_547_1,
            0.025_509_591_8,
            -0.080_012_607_6,
            -0.221_764_161_0,
            -0.344_554_941_8,
            -0.452_864_086_4,
            -0.549_749_917_7,
        ];
        let scalars = [s.mu_eff, s.c_1, s.c_mu, s.c_c];
        let expected = [3.167_299_281_4, 0.015_283_824_5, 0.023_551_776_7, 0.294_990_383_0];
        let got = s.weights.iter().chain(&scalars);
        for (got, expected) in got.zip(weights.iter().chain(&expected)) {
            assert!((got - expected).abs() < 1e-9, "{got} {expected}");
        }
    }

    fn minimise(f: impl Fn(&[f64]) -> f64, n: usize, generations: u32) -> Evolution {
        let lambda = Strategy::population(n);
        let mut evolution = Evolution::new(vec![0.5; n], 0.2, lambda);
        for generation in 0..generations {
            let mut rng = Streams::new(3).stream("test", TrialIdx(u64::from(generation)));
            let mut points: Vec<Vec<f64>> = (0..lambda).map(|_| evolution.draw(&mut rng)).collect();
            points.sort_by(|a, b| f(a).total_cmp(&f(b)));
            evolution.update(&points);
        }
        evolution
    }

    #[test]
    fn finds_the_bottom_of_an_ellipsoid_to_many_digits() {
        let ellipsoid = |x: &[f64]| {
            x.iter().enumerate().map(|(i, x)| 10_f64.powi(i as i32) * (x - 0.3).powi(2)).sum::<f64>()
        };
        let found = minimise(ellipsoid, 5, 300);
        assert!(found.mean.iter().all(|x| (x - 0.3).abs() < 1e-6), "{}", found.mean);
    }

    /// On a quadratic the covariance becomes a multiple of the inverse Hessian (tutorial, section 0.5).
    #[test]
    fn learns_the_shape_of_a_valley() {
        let found = minimise(|x| (x[0] - 0.3).powi(2) + 100.0 * (x[1] - 0.3).powi(2), 2, 40);
        let ratio = found.shape.variance(0) / found.shape.variance(1);
        assert!((20.0..500.0).contains(&ratio), "{ratio} against 100");
    }

    /// Selection without information leaves the logarithm of the step size where it is on average, within 4 standard
    /// errors.
    #[test]
    fn does_not_shrink_where_all_is_alike() {
        let lambda = 8;
        let drifts: Vec<f64> = (0..200)
            .map(|seed| {
                let mut evolution = Evolution::new(vec![0.5; 4], 0.2, lambda);
                for generation in 0..20 {
                    let mut rng = Streams::new(seed).stream("test", TrialIdx(generation));
                    let points: Vec<Vec<f64>> = (0..lambda).map(|_| evolution.draw(&mut rng)).collect();
                    evolution.update(&points);
                }
                (evolution.sigma / 0.2).ln()
            })
            .collect();
        let mean = drifts.iter().sum::<f64>() / 200.0;
        let deviation = (drifts.iter().map(|drift| (drift - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
        assert!(mean.abs() < 4.0 * deviation / 200.0_f64.sqrt(), "{mean} with deviation {deviation}");
    }

    /// Fifty dimensions are above what a full matrix gets.
    #[test]
    fn learns_variances_alone_in_many_dimensions() {
        let found = minimise(
            |x| x.iter().enumerate().map(|(i, x)| (1.0 + i as f64) * (x - 0.3).powi(2)).sum(),
            50,
            400,
        );
        assert!(
            found.shape.is_diagonal() && found.mean.iter().all(|x| (x - 0.3).abs() < 1e-3),
            "{}",
            found.mean
        );
        assert!(found.shape.variance(0) > 3.0 * found.shape.variance(49));
    }

    #[test]
    fn deviations_stay_above_their_floors() {
        let mut evolution = Evolution::new(vec![0.5; 2], 0.3, 6);
        let draws = |evolution: &Evolution| {
            let mut rng = Streams::new(5).stream("test", TrialIdx(0));
            (0..2000).map(|_| evolution.draw(&mut rng)).collect::<Vec<_>>()
        };
        for _ in 0..300 {
            let mut points = draws(&evolution)[..6].to_vec();
            points.sort_by(|a, b| (a[0] - 0.5).abs().total_cmp(&(b[0] - 0.5).abs()));
            evolution.update(&points);
            evolution.widen(0, 0.05);
        }
        let square = draws(&evolution).iter().map(|x| (x[0] - evolution.mean[0]).powi(2)).sum::<f64>();
        assert!((square / 2000.0).sqrt() > 0.04, "{square}");
    }
}
