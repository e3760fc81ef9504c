//! A made-up cost of the cells of NAS-Bench-201, to compare searches on: no network is trained.
//!
//! It has what real tables are known for: most cells are fair, few are good, cells without a way through are as bad as
//! guessing, near cells cost nearly the same, and small accidents make local optima.

use std::collections::BTreeSet;

use crate::cell::{Cell, Likeness};

/// Error of guessing among ten classes, in percent.
const GUESSING: f64 = 90.0;

/// Error of a cell, in percent: the same for cells that count as one, from about 6 to 90.
pub fn cost(cell: &Cell) -> f64 {
    // Skips are what they skip.
    let paths: BTreeSet<String> = cell.paths().iter().map(|path| path.replace(">skip_connect", "")).collect();
    if paths.is_empty() {
        return GUESSING;
    }
    let strength = |path: &String| {
        let gains = path.split('>').skip(1).map(|operation| match operation {
            "nor_conv_3x3" => 1.0,
            "nor_conv_1x1" => 0.7,
            _ => 0.15,
        });
        1.0 - f64::exp(-gains.sum::<f64>())
    };
    let strengths: Vec<f64> = paths.iter().map(strength).collect();
    let deepest = strengths.iter().copied().fold(0.0, f64::max);
    let mean = strengths.iter().sum::<f64>() / strengths.len() as f64;
    let residual = if paths.contains("0") { 0.25 } else { 0.0 };
    let crowd = 0.03 * (strengths.len() as f64 - 4.0).abs();
    let quality = 1.4 * deepest + 0.6 * mean + residual - crowd;
    6.0 + 40.0 * f64::exp(-2.0 * quality) + accident(&cell.expression(Likeness::Function))
}

/// Up to half a percent, by the name alone.
fn accident(name: &str) -> f64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper bits of this hash move with every byte once they are spread.
    0.5 * ((hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::architectures::Architectures as _;
    use crate::cells::CellSpace;

    #[test]
    fn cells_that_count_as_one_cost_the_same() {
        let cells = CellSpace::nas_bench_201();
        let mut costs: BTreeMap<String, f64> = BTreeMap::new();
        for point in cells.all() {
            let cost = cost(&cells.cell(&point));
            let known = *costs.entry(cells.key(&point)).or_insert(cost);
            assert!((known - cost).abs() < 1e-12, "{}", CellSpace::text(&cells.cell(&point)));
        }
        let mut ranked: Vec<f64> = costs.into_values().collect();
        ranked.sort_by(f64::total_cmp);
        assert!(ranked[0] < 8.0 && ranked[ranked.len() - 1] == GUESSING, "{} is the best", ranked[0]);
    }
}
