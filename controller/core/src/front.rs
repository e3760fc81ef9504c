//! Trade-offs: the points that no other beats.

use std::cmp::Ordering;

/// Positions of the points than which no other is at least as good in everything and better in something (the Pareto front), in
/// the order of their first costs. Each has the same costs, lower is better; one with a NaN is left out. Equal ones are all in.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    let is_known = |i: &usize| !points[*i].iter().any(|cost| cost.is_nan());
    let mut order: Vec<usize> = (0..points.len()).filter(is_known).collect();
    order.sort_by(|a, b| lexical(&points[*a], &points[*b]).then(a.cmp(b)));
    let mut front: Vec<usize> = Vec::new();
    for i in order {
        // Nobody is beaten by those that come behind in this order.
        if !front.iter().any(|better| beats(&points[*better], &points[i])) {
            front.push(i);
        }
    }
    front
}

fn lexical(a: &[f64], b: &[f64]) -> Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    orders.fold(Ordering::Equal, Ordering::then)
}

fn beats(a: &[f64], b: &[f64]) -> bool {
    let pairs = || a.iter().zip(b);
    pairs().all(|(a, b)| a <= b) && pairs().any(|(a, b)| a < b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_beaten_in_everything_is_out() {
        let points =
            [[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [f64::NAN, 0.0], [2.0, 2.0], [1.0, 4.0]];
        let points: Vec<Vec<f64>> = points.iter().map(|point| point.to_vec()).collect();
        assert_eq!(front(&points), [1, 2, 5, 0]);
        assert_eq!(front(&[]), [] as [usize; 0]);
    }

    #[test]
    fn it_is_what_the_definition_says() {
        // Three costs on a small grid, so that there are equal ones.
        let points: Vec<Vec<f64>> =
            (0..200_u32).map(|i| [7, 11, 13].map(|k| f64::from(i * k * k % 17)).to_vec()).collect();
        let mut found = front(&points);
        found.sort_unstable();
        let is_beaten = |i: &usize| points.iter().any(|other| beats(other, &points[*i]));
        let wanted: Vec<usize> = (0..points.len()).filter(|i| !is_beaten(i)).collect();
        assert_eq!(found, wanted);
    }
}
