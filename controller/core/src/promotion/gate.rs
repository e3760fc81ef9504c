//! Whether a candidate is good enough, and better than the champion.
//!
//! Never judged by the search's own objective: the best of many trials looks better than it is. Both models are measured
//! on one set of data that the search has not seen, example by example, and compared in pairs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spec::GateSpec;

/// Resamples of the bootstrap.
const RESAMPLES: usize = 10_000;
/// Up to this many examples that only one of two models gets right, the binomial tail is summed term by term.
const EXACT: u64 = 1_000;

/// What a model reached on the data of the step `evaluate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// The gate's metric; a number.
    pub value: f64,
    /// Score by number of the example, in the direction of the metric; empty if the step gave none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<i64, f64>,
}

/// How two models compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// How much better the candidate is, in the unit of the metric or of the scores; below 0 it is worse.
    pub difference: f64,
    /// What it was compared by: `values`, `mcnemar` or `bootstrap`.
    pub test: String,
    /// Examples that both were measured on; 0 for `values`.
    pub examples: u64,
    /// How sure it is that the candidate is better by what was asked for, 0 to 1; unset for `values`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is good enough, and better where that was asked for.
    Passed(Option<Comparison>),
    /// It is not good enough by itself.
    TooBad(String),
    /// It is good, but not better than the champion.
    NotBetter(Comparison, String),
    /// It cannot be judged.
    Unclear(String),
}

/// Judges a candidate; without a champion it has to be good enough by itself alone. `seed` names the resamples.
pub fn judge(gate: &GateSpec, candidate: &Measurement, champion: Option<&Measurement>, seed: u64) -> Verdict {
    let metric = &gate.metric;
    if let Some(least) = gate.minimum.filter(|least| candidate.value < *least) {
        return Verdict::TooBad(format!("`{metric}` is {}, below the minimum {least}", candidate.value));
    }
    if let Some(most) = gate.maximum.filter(|most| candidate.value > *most) {
        return Verdict::TooBad(format!("`{metric}` is {}, above the maximum {most}", candidate.value));
    }
    let (Some(_), Some(champion)) = (&gate.improves_on, champion) else {
        return Verdict::Passed(None);
    };
    compare(gate, candidate, champion, seed)
}

fn compare(gate: &GateSpec, candidate: &Measurement, champion: &Measurement, seed: u64) -> Verdict {
    let sign = if gate.is_maximize() { 1.0 } else { -1.0 };
    let by = gate.by.unwrap_or(0.0);
    let Some(wanted) = gate.confidence else {
        let difference = sign * (candidate.value - champion.value);
        let comparison = Comparison { difference, test: "values".into(), examples: 0, confidence: None };
        return if difference > by || (by > 0.0 && difference >= by) {
            Verdict::Passed(Some(comparison))
        } else {
            let why = format!(
                "`{}` is {} against the champion's {}: not better by {by}",
                gate.metric, candidate.value, champion.value
            );
            Verdict::NotBetter(comparison, why)
        };
    };
    let pairs: Vec<(f64, f64)> = candidate
        .scores
        .iter()
        .filter_map(|(example, score)| Some((*score, *champion.scores.get(example)?)))
        .filter(|(a, b)| a.is_finite() && b.is_finite())
        .collect();
    if pairs.is_empty() {
        return Verdict::Unclear(
            "with `confidence` the step `evaluate` has to print a line `step=I score=S` for each example, of the \
             candidate and of the champion, and there are no such pairs"
                .into(),
        );
    }
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| sign * (a - b)).collect();
    let n = differences.len() as u64;
    let difference = differences.iter().sum::<f64>() / n as f64;
    let is_yes_or_no = |score: f64| score.total_cmp(&0.0).is_eq() || score.total_cmp(&1.0).is_eq();
    let binary = pairs.iter().all(|(a, b)| is_yes_or_no(*a) && is_yes_or_no(*b));
    let (test, confidence) = if binary && by <= 0.0 {
        ("mcnemar", mcnemar(&differences))
    } else {
        ("bootstrap", bootstrap(&differences, by, seed))
    };
    let comparison = Comparison { difference, test: test.into(), examples: n, confidence: Some(confidence) };
    if confidence >= wanted && difference > by.min(0.0) {
        return Verdict::Passed(Some(comparison));
    }
    let why = format!(
        "over {n} examples it is better by {difference:.4}; that this is more than {by} is sure to {confidence:.3}, not to \
         {wanted} ({test})"
    );
    Verdict::NotBetter(comparison, why)
}

/// How sure it is that a model gets more examples right than another, by those that only one of them gets right.
///
/// `differences`: 1 where only the first is right, -1 where only the second is, else 0. Returns 1 - p of the exact
/// one-sided test; 0.5 where they never differ. Source: McNemar 1947, Psychometrika 12; exact binomial form.
pub fn mcnemar(differences: &[f64]) -> f64 {
    let won = differences.iter().filter(|d| **d > 0.0).count() as u64;
    let lost = differences.iter().filter(|d| **d < 0.0).count() as u64;
    let n = won + lost;
    if n == 0 {
        return 0.5;
    }
    if n > EXACT {
        // Half a count is taken off for continuity.
        let z = (won as f64 - n as f64 / 2.0 - 0.5) / (n as f64 / 4.0).sqrt();
        return normal(z);
    }
    // P(at least `won` of n heads of a fair coin), summed from the log of each term.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=n {
        if k >= won {
            tail += log_term.exp();
        }
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (1.0 - tail).clamp(0.0, 1.0)
}

/// How sure it is that the mean of paired differences is above `by`: the share of resamples with replacement whose mean
/// is. Source: Efron and Tibshirani 1993, chapter 13 (percentile interval).
pub fn bootstrap(differences: &[f64], by: f64, seed: u64) -> f64 {
    let n = differences.len();
    let mut chance = SplitMix(seed);
    let mut above = 0_usize;
    for _ in 0..RESAMPLES {
        let sum: f64 = (0..n).map(|_| differences[chance.below(n)]).sum();
        if sum / n as f64 > by {
            above += 1;
        }
    }
    above as f64 / RESAMPLES as f64
}

/// Distribution function of the standard normal. Source: Abramowitz and Stegun 1964, 26.2.17; error below 7.5e-8.
fn normal(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = t
        * (0.319_381_530
            + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let upper = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly;
    if z >= 0.0 { 1.0 - upper } else { upper }
}

/// A stream of numbers for resampling. Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64, scores: &[f64]) -> Measurement {
        Measurement { value, scores: (0..).zip(scores.iter().copied()).collect() }
    }

    fn gate() -> GateSpec {
        GateSpec { metric: "accuracy".into(), minimum: Some(0.9), ..GateSpec::default() }
    }

    fn improving(by: Option<f64>, confidence: Option<f64>) -> GateSpec {
        GateSpec { improves_on: Some("champion".into()), by, confidence, ..gate() }
    }

    #[test]
    fn a_first_candidate_has_to_be_good_enough_alone() {
        let first = |value| judge(&improving(None, Some(0.95)), &measured(value, &[]), None, 1);
        assert_eq!(first(0.9), Verdict::Passed(None));
        assert!(matches!(first(0.89), Verdict::TooBad(why) if why.contains("below the minimum 0.9")));
        let small = GateSpec { minimum: None, maximum: Some(0.5), ..gate() };
        assert!(matches!(judge(&small, &measured(0.6, &[]), None, 1), Verdict::TooBad(_)));
    }

    #[test]
    fn without_a_confidence_the_values_are_compared() {
        let champion = measured(0.95, &[]);
        let against = |value, by| judge(&improving(by, None), &measured(value, &[]), Some(&champion), 1);
        assert!(matches!(against(0.951, None), Verdict::Passed(Some(_))));
        assert!(matches!(against(0.95, None), Verdict::NotBetter(..)));
        assert!(matches!(against(0.951, Some(0.01)), Verdict::NotBetter(..)));
        // Where small is good, smaller is better.
        let small = GateSpec { minimum: None, maximum: Some(1.0), ..improving(None, None) };
        assert!(matches!(judge(&small, &measured(0.94, &[]), Some(&champion), 1), Verdict::Passed(Some(_))));
    }

    #[test]
    fn with_a_confidence_pairs_are_needed() {
        let verdict =
            judge(&improving(None, Some(0.95)), &measured(0.99, &[]), Some(&measured(0.95, &[])), 1);
        assert!(matches!(verdict, Verdict::Unclear(why) if why.contains("score")));
    }

    #[test]
    fn mcnemar_agrees_with_sums_by_hand() {
        let of = |won: usize, lost: usize| {
            let mut differences = vec![0.0; 7];
            differences.extend(std::iter::repeat_n(1.0, won));
            differences.extend(std::iter::repeat_n(-1.0, lost));
            mcnemar(&differences)
        };
        // P(X >= 8 of 10) = 56/1024; P(X >= 5 of 5) = 1/32; P(X >= 1 of 2) = 3/4.
        assert!((of(8, 2) - (1.0 - 56.0 / 1024.0)).abs() < 1e-12);
        assert!((of(5, 0) - (1.0 - 1.0 / 32.0)).abs() < 1e-12);
        assert!((of(1, 1) - 0.25).abs() < 1e-12);
        assert!((of(0, 0) - 0.5).abs() < 1e-12);
        // 1,000 are summed, 1,001 approximated: they meet.
        assert!((of(550, 450) - of(551, 450)).abs() < 5e-4, "{} {}", of(550, 450), of(551, 450));
    }

    #[test]
    fn the_bootstrap_is_as_sure_as_a_test_of_the_mean() {
        // Mean 0.1, deviation 1, n = 400: z = 2, so 0.977 sure that it is above 0, and 0.5 that it is above 0.1.
        let mut chance = SplitMix(3);
        let mut raw: Vec<f64> = (0..400)
            .map(|_| (0..12).map(|_| chance.next() as f64 / 2f64.powi(64)).sum::<f64>() - 6.0)
            .collect();
        let mean = raw.iter().sum::<f64>() / 400.0;
        let std = (raw.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 400.0).sqrt();
        raw.iter_mut().for_each(|x| *x = (*x - mean) / std + 0.1);
        assert!((bootstrap(&raw, 0.0, 5) - 0.977).abs() < 0.01, "{}", bootstrap(&raw, 0.0, 5));
        assert!((bootstrap(&raw, 0.1, 5) - 0.5).abs() < 0.03, "{}", bootstrap(&raw, 0.1, 5));
    }

    #[test]
    fn equal_models_are_rarely_taken_for_better() {
        // 200 pairs of equal models of 300 examples: at 0.95 about one in twenty may pass; that 20 do has probability 0.003.
        let mut passed = 0;
        for seed in 0..200 {
            let mut chance = SplitMix(seed + 1000);
            let mut scores =
                || (0..300).map(|_| f64::from(u8::from(chance.below(10) > 0))).collect::<Vec<_>>();
            let (a, b) = (scores(), scores());
            let verdict =
                judge(&improving(None, Some(0.95)), &measured(0.95, &a), Some(&measured(0.95, &b)), seed);
            passed += usize::from(matches!(verdict, Verdict::Passed(_)));
        }
        assert!(passed < 20, "{passed}");
    }

    #[test]
    fn a_better_model_is_seen_in_pairs() {
        // Right in 95 of 100 where the other is right in 85, and never wrong where that one is right.
        let champion: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i >= 15))).collect();
        let candidate: Vec<f64> = (0..100).map(|i| f64::from(u8::from(i >= 5))).collect();
        let judged = judge(
            &improving(None, Some(0.99)),
            &measured(0.95, &candidate),
            Some(&measured(0.85, &champion)),
            1,
        );
        let Verdict::Passed(Some(comparison)) = judged else { panic!("{judged:?}") };
        assert_eq!((comparison.test.as_str(), comparison.examples), ("mcnemar", 100));
        assert!((comparison.difference - 0.1).abs() < 1e-12);
        let more = judge(
            &improving(Some(0.2), Some(0.9)),
            &measured(0.95, &candidate),
            Some(&measured(0.85, &champion)),
            1,
        );
        assert!(matches!(more, Verdict::NotBetter(comparison, _) if comparison.test == "bootstrap"));
    }
}
