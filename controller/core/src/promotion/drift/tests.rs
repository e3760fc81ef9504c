//! Against tables, and on samples by the hundred.

use serde_json::{Value, json};

use super::*;

/// SplitMix64 (Steele, Lea and Flood 2014, OOPSLA).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const FEATURES: usize = 20;
const COUNTRIES: [&str; 4] = ["de", "fr", "it", "nl"];

/// Columns of this many rows: uniform numbers, and countries of which the first is the most frequent. What is shifted moves
/// by a fifth of its range, or has half as many of the first.
fn rows(rows: usize, random: &mut Random, shifted: Option<&str>) -> BTreeMap<String, Vec<Value>> {
    let mut columns: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for _ in 0..rows {
        for i in 0..FEATURES {
            let name = format!("inputs.x[{i}]");
            let shift = if shifted == Some(name.as_str()) { 0.2 } else { 0.0 };
            columns.entry(name).or_default().push(json!(random.uniform() + shift));
        }
        let name = "inputs.country";
        let first = if shifted == Some(name) { 0.3 } else { 0.6 };
        let point = random.uniform();
        let country = if point < first { 0 } else { 1 + ((point - first) / (1.0 - first) * 3.0) as usize };
        columns.entry(name.into()).or_default().push(json!(COUNTRIES[country]));
    }
    columns
}

fn profile(random: &mut Random) -> Profile {
    let data = rows(2000, random, None);
    let of = |(name, values): (&String, &Vec<Value>)| {
        let empty = if name == "inputs.country" {
            Distribution::Categories { categories: COUNTRIES.iter().map(|c| ((*c).to_owned(), 0)).collect() }
        } else {
            Distribution::Numbers {
                edges: (1..20).map(|i| f64::from(i) / 20.0).collect(),
                counts: vec![0; 20],
            }
        };
        let mut found = empty.counts();
        values.iter().for_each(|value| found[empty.class(value).unwrap()] += 1);
        let filled = match empty {
            Distribution::Numbers { edges, .. } => Distribution::Numbers { edges, counts: found },
            Distribution::Categories { categories } => {
                Distribution::Categories { categories: categories.into_keys().zip(found).collect() }
            }
        };
        (name.clone(), filled)
    };
    Profile { features: data.iter().map(of).collect() }
}

/// What a window of 500 rows shows.
fn judged(seed: u64, shifted: Option<&str>) -> Vec<Finding> {
    let mut random = Random(seed);
    let profile = profile(&mut random);
    let mut gathered = Gathered::default();
    gathered.add(&profile, &rows(500, &mut random, shifted), 500);
    judge(&profile, &gathered)
}

#[test]
fn probabilities_are_those_of_the_tables() {
    // scipy.stats.chi2.isf(0.05, df), and of 0.001 for the last.
    for (x, df, p) in [
        (3.841_459, 1, 0.05),
        (5.991_465, 2, 0.05),
        (7.814_728, 3, 0.05),
        (11.070_498, 5, 0.05),
        (18.307_038, 10, 0.05),
        (29.588_298, 10, 0.001),
    ] {
        let found = chi_squared_above(x, df);
        assert!((found / p - 1.0).abs() < 1e-5, "{x} {df}: {found}");
    }
    // Smirnov 1948, Ann. Math. Statist. 19:279.
    for (lambda, p) in [(1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)] {
        let found = kolmogorov(lambda);
        assert!((found / p - 1.0).abs() < 1e-3, "{lambda}: {found}");
    }
    assert_eq!(
        (chi_squared_above(1e6, 9), chi_squared_above(0.0, 3), chi_squared_above(3.0, 0)),
        (0.0, 1.0, 1.0)
    );
}

/// At a threshold of 0.001 twenty silent windows have probability 0.98 and more: there is room for new seeds.
#[test]
fn windows_of_the_same_data_are_silent() {
    for seed in 0..20 {
        let worst = judged(seed, None).remove(0);
        assert!(worst.p > 0.001, "seed {seed}: {worst}");
    }
}

/// The tests are not silent by being blind: without a shift the smallest of 21 adjusted p-values is below a half in about four
/// windows of ten, so that it never is in twenty has probability 4e-5.
#[test]
fn silence_is_no_blindness() {
    let smallest = (0..20).map(|seed| judged(seed, None)[0].p).fold(1.0, f64::min);
    assert!(smallest < 0.5, "{smallest}");
}

#[test]
fn the_feature_that_is_shifted_is_named() {
    for feature in ["inputs.x[7]", "inputs.country"] {
        for seed in 0..20 {
            let findings = judged(seed, Some(feature));
            assert_eq!(findings[0].feature, feature, "seed {seed}: {}", findings[0]);
            assert!(
                findings[0].p < 1e-6 && findings[1].p > 0.001,
                "seed {seed}: {} {}",
                findings[0],
                findings[1]
            );
        }
    }
}

#[test]
fn what_was_never_seen_counts_and_what_is_missing_does_not() {
    let profile =
        json!({"inputs": {"c": {"categories": {"a": 500, "b": 500}}, "d": {"categories": {"a": 9}}}});
    let profile = Profile::read(&profile).unwrap();
    let mut gathered = Gathered::default();
    let values = (0..100).map(|i| json!(["a", "b", "new", "new"][i % 4])).collect();
    gathered.add(&profile, &BTreeMap::from([("inputs.c".to_owned(), values)]), 100);
    let findings = judge(&profile, &gathered);
    assert_eq!((findings.len(), findings[0].feature.as_str()), (1, "inputs.c"));
    assert!(findings[0].p < 1e-6, "{}", findings[0]);
}
