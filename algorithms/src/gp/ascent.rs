//! Gradient ascent within the unit cube.

/// Pairs of steps and changes of the gradient that are remembered.
const MEMORY: usize = 6;
/// Share of the rise promised by the gradient that a step must reach.
const ARMIJO: f64 = 1e-4;
/// Times that a step is halved.
const HALVINGS: usize = 12;
/// Longest first step.
const FIRST: f64 = 0.1;

/// A function with its gradient, to be maximised.
pub(super) trait Surface {
    /// Value and gradient at a point.
    fn at(&self, x: &[f64]) -> (f64, Vec<f64>);
}

/// The highest point found from a start, and its value: projected L-BFGS (Nocedal and Wright 2006, algorithm 7.4, with
/// coordinates held at bounds that they press against). Stops after `steps`, or once a step gains less than `least`.
pub(super) fn ascend(surface: &impl Surface, start: &[f64], steps: usize, least: f64) -> (f64, Vec<f64>) {
    let mut x = start.to_vec();
    let (mut value, mut gradient) = surface.at(&x);
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..steps {
        let free: Vec<bool> = x
            .iter()
            .zip(&gradient)
            .map(|(x, g)| !(*x <= 0.0 && *g <= 0.0 || *x >= 1.0 && *g >= 0.0))
            .collect();
        let held = masked(&gradient, &free);
        let mut direction = two_loops(&held, &memory, &free);
        if product(&direction, &held) <= 0.0 {
            memory.clear();
            direction.clone_from(&held);
        }
        let steepest = direction.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        if !(steepest > 1e-9 && steepest.is_finite()) {
            break;
        }
        let mut length = if memory.is_empty() { (FIRST / steepest).min(1.0) } else { 1.0 };
        let mut found = None;
        for _ in 0..HALVINGS {
            let next: Vec<f64> =
                x.iter().zip(&direction).map(|(x, d)| (x + length * d).clamp(0.0, 1.0)).collect();
            let step: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
            let (reached, slope) = surface.at(&next);
            if reached.is_finite() && reached >= value + ARMIJO * product(&gradient, &step) {
                found = Some((next, step, reached, slope));
                break;
            }
            length /= 2.0;
        }
        let Some((next, step, reached, slope)) = found else { break };
        let change: Vec<f64> = gradient.iter().zip(&slope).map(|(a, b)| a - b).collect();
        if product(&step, &change) > 1e-12 {
            memory.push((step, change));
            if memory.len() > MEMORY {
                memory.remove(0);
            }
        }
        let gain = reached - value;
        (x, value, gradient) = (next, reached, slope);
        if gain < least {
            break;
        }
    }
    (value, x)
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn masked(x: &[f64], free: &[bool]) -> Vec<f64> {
    x.iter().zip(free).map(|(x, free)| if *free { *x } else { 0.0 }).collect()
}

/// The inverse Hessian of the falling side times the gradient, along the free coordinates.
fn two_loops(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)], free: &[bool]) -> Vec<f64> {
    let pairs: Vec<(Vec<f64>, Vec<f64>, f64)> = memory
        .iter()
        .map(|(s, y)| (masked(s, free), masked(y, free)))
        .map(|(s, y)| {
            let curvature = product(&s, &y);
            (s, y, curvature)
        })
        .filter(|(.., curvature)| *curvature > 1e-14)
        .collect();
    let mut q = gradient.to_vec();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (s, y, curvature) in pairs.iter().rev() {
        let alpha = product(s, &q) / curvature;
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((_, y, curvature)) = pairs.last() {
        let scale = curvature / product(y, y).max(1e-300);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, curvature), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = product(y, &q) / curvature;
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    masked(&q, free)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Valley;

    /// Rosenbrock's valley turned upside down, its top at (0.75, 0.75 * 0.75).
    impl Surface for Valley {
        fn at(&self, x: &[f64]) -> (f64, Vec<f64>) {
            let (a, b) = (x[0] - 0.75, x[1] - x[0] * x[0]);
            (-a * a - 100.0 * b * b, vec![-2.0 * a + 400.0 * b * x[0], -200.0 * b])
        }
    }

    struct Slope;

    impl Surface for Slope {
        fn at(&self, x: &[f64]) -> (f64, Vec<f64>) {
            (x[0] - (x[1] - 0.25).powi(2), vec![1.0, -2.0 * (x[1] - 0.25)])
        }
    }

    #[test]
    fn it_finds_the_end_of_a_bent_valley() {
        let (value, x) = ascend(&Valley, &[0.1, 0.9], 200, 1e-14);
        assert!(value > -1e-8 && (x[0] - 0.75).abs() < 1e-3, "{value} {x:?}");
    }

    #[test]
    fn it_stays_within_the_cube_and_goes_on_along_a_bound() {
        let (_, x) = ascend(&Slope, &[0.5, 0.9], 50, 1e-14);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 0.25).abs() < 1e-5, "{x:?}");
    }
}
