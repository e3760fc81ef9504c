//! What keeps DARTS from ending with skips alone.

use crate::search::Search;
use crate::tape::Mode;
use crate::weights::norm;

/// Pictures that a loss is measured on.
const MEASURED: usize = 256;
/// Steps of the power iteration.
const ITERATIONS: usize = 8;
/// How far the architecture is moved to see how its slopes change.
const REACH: f32 = 0.05;

/// The largest eigenvalue, by size, of the second derivative of the validation loss by the numbers of operations (Zela et
/// al. 2020, arXiv:1909.09656, section 4), by power iteration over differences of slopes.
pub(crate) fn sharpness(search: &mut Search<'_>) -> Result<f32, String> {
    let (alphas, validation) = (search.alphas.clone(), &search.digits.validation);
    let which: Vec<usize> = (0..validation.labels.len() / 8 * 8).take(MEASURED).collect();
    let mut direction: Vec<f32> = alphas.iter().map(|_| search.random.normal()).collect();
    let mut eigenvalue = 0.0;
    for _ in 0..ITERATIONS {
        let length = norm(&direction).max(1e-12);
        direction.iter_mut().for_each(|d| *d /= length);
        let mut at = |scale: f32| {
            search.alphas = alphas.iter().zip(&direction).map(|(a, d)| a + scale * d).collect();
            let soft = search.soft();
            search.slopes(validation, &which, &soft, Mode::Probe).map(|(_, slopes)| slopes)
        };
        let (above, below) = (at(REACH)?, at(-REACH)?);
        direction = above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * REACH)).collect();
        eigenvalue = norm(&direction);
    }
    search.alphas = alphas;
    Ok(eigenvalue)
}

/// Ends a search whose loss becomes sharp (Zela et al. 2020, section 5.1): means of five epochs, and one that is more than
/// 4/3 of that of five epochs before.
#[derive(Default)]
pub(crate) struct Stop {
    sharpnesses: Vec<f32>,
    alphas: Vec<Vec<f32>>,
}

impl Stop {
    const WINDOW: usize = 5;
    const LEAST: f32 = 0.75;

    /// Takes in an epoch; the architecture to go back to, if the search is to end.
    pub(crate) fn look(&mut self, sharpness: f32, alphas: &[f32]) -> Option<Vec<f32>> {
        self.sharpnesses.push(sharpness);
        self.alphas.push(alphas.to_vec());
        let n = self.sharpnesses.len();
        let mean =
            |end: usize| self.sharpnesses[end - Self::WINDOW..end].iter().sum::<f32>() / Self::WINDOW as f32;
        let is_sharp = n >= 2 * Self::WINDOW && mean(n - Self::WINDOW) / mean(n) < Self::LEAST;
        is_sharp.then(|| self.alphas[n - 1 - Self::WINDOW].clone())
    }
}

/// Strengths of operations by what their loss would cost (Wang et al. 2021, arXiv:2108.04392, algorithm 1): edge by edge, in
/// an order by chance, the operation stays without which the validation loss is the largest, and the others go; the weights
/// learn for an epoch after each. Then the edges of a node are told apart in the same way.
pub(crate) fn strengths_by_perturbation(search: &mut Search<'_>) -> Result<Vec<f32>, String> {
    let (n, n_edges) = (search.supernet.n_operations(), search.supernet.n_edges());
    let mut order: Vec<usize> = (0..n_edges).collect();
    search.random.shuffle(&mut order);
    let mut closed: Vec<Option<usize>> = vec![None; n_edges];
    for &edge in &order {
        let mut worst = (0, f32::NEG_INFINITY);
        for k in 0..search.supernet.candidates() {
            let loss = loss_without(search, &closed, &[edge * n + k])?;
            if loss > worst.1 {
                worst = (k, loss);
            }
        }
        closed[edge] = Some(worst.0);
        decide(search, edge, worst.0);
        search.learn(None)?;
    }
    let mut strengths = vec![0.0; n_edges * n];
    for edge in 0..n_edges {
        let Some(k) = closed[edge] else { continue };
        let all: Vec<usize> = (0..n).map(|k| edge * n + k).collect();
        strengths[edge * n + k] =
            if search.supernet.has_rivals() { loss_without(search, &closed, &all)? } else { 1.0 };
    }
    Ok(strengths)
}

/// Makes one operation of an edge so strong that the others are nothing beside it.
fn decide(search: &mut Search<'_>, edge: usize, chosen: usize) {
    let n = search.supernet.n_operations();
    for (k, alpha) in search.alphas[edge * n..][..n].iter_mut().enumerate() {
        *alpha = if k == chosen { 20.0 } else { -20.0 };
    }
}

/// Mean validation loss without some operations.
fn loss_without(search: &mut Search<'_>, closed: &[Option<usize>], without: &[usize]) -> Result<f32, String> {
    let n = search.supernet.n_operations();
    let mut soft = search.soft();
    for (edge, chosen) in closed.iter().enumerate() {
        if let Some(chosen) = chosen {
            (0..n).for_each(|k| soft.coefficients[edge * n + k] = f32::from(k == *chosen));
        }
    }
    without.iter().for_each(|i| soft.coefficients[*i] = 0.0);
    let validation = &search.digits.validation;
    let which: Vec<usize> = (0..validation.labels.len() / 8 * 8).take(MEASURED).collect();
    Ok(search.slopes(validation, &which, &soft, Mode::Probe)?.0)
}
