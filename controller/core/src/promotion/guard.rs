//! Whether a candidate is worse than the champion beside it: tests that may be looked at as often as one likes.
//!
//! Both answer requests at the same time. Of a batch of `m` and `n` requests, `x` of the candidate's and `y` of the
//! champion's are bad: they failed, took too long, or were wrong by their labels. If both were equally good, then given `m`, `n` and `x + y` the
//! number `x` would be hypergeometric (Fisher 1935, J. R. Stat. Soc. 98:39), whatever their common rate. Against an odds
//! ratio `w > 1` the ratio of likelihoods is `w^x / E[w^X]`, and its expectation is 1, and less where the candidate is
//! better. Products over batches are so bets that gain nothing unless the candidate is worse, and so is their mean over
//! several `w`. By Ville's inequality (Ramdas et al. 2023, arXiv:2210.01948, section 2.2) such a capital exceeds `1 / alpha`
//! at any time at all with probability at most `alpha`.
//!
//! Where the champion has answered before the candidate and not beside it, or where there is a limit in place of a
//! champion, totals are compared, as often as one likes too.
//!
//! | symbol | meaning |
//! |---|---|
//! | `w` | odds ratio that is betted on |
//! | `m`, `n` | requests of candidate and champion in a batch |
//! | `x`, `y` | bad ones among them |

mod total;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::spec::GuardSpec;

/// Odds ratios that are betted on, in equal parts.
const RATIOS: [f64; 5] = [1.5, 2.0, 3.0, 6.0, 20.0];
/// How likely it is, at most, that all guards together ever send back a candidate that is no worse.
pub const ALPHA: f64 = 0.01;
/// Bounds of latencies: the first, and how each grows over the one before. The last is about 70 s.
const FIRST_BOUND: Duration = Duration::from_micros(200);
const GROWTH: f64 = 1.1;
/// How many bounds there are; what is longer counts behind the last.
pub const BOUNDS: usize = 135;
/// How many requests of the champion tell its latency well enough to bet on it.
const ENOUGH: u64 = 100;

/// The upper bound of a class of latencies, in seconds.
pub fn bound(class: usize) -> f64 {
    FIRST_BOUND.as_secs_f64() * GROWTH.powi(class as i32)
}

/// The class of a latency: the first whose bound it does not exceed; `BOUNDS` if it exceeds all.
pub fn class_of(latency: Duration) -> usize {
    let ratio = latency.as_secs_f64() / FIRST_BOUND.as_secs_f64();
    let class = if ratio <= 1.0 { 0.0 } else { ratio.log(GROWTH).ceil() };
    (class as usize).min(BOUNDS)
}

/// What a version has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Those that failed: status 400 and above, or given up by whoever asked while nothing had come.
    pub errors: u64,
    /// How many were in each class of latency; may be shorter than the classes.
    pub latencies: Vec<u64>,
    /// Rows that have got a label.
    #[serde(skip_serializing_if = "crate::trial::is_zero")]
    pub labelled: u64,
    /// Those of them that were wrong.
    #[serde(skip_serializing_if = "crate::trial::is_zero")]
    pub wrong: u64,
    /// Answers to copies that were compared with the champion's.
    #[serde(skip_serializing_if = "crate::trial::is_zero")]
    pub compared: u64,
    /// Those of them that were other than those.
    #[serde(skip_serializing_if = "crate::trial::is_zero")]
    pub disagreed: u64,
}

impl Counts {
    /// What came since `before`; all of it, if the counting has begun anew. Labels are kept elsewhere and go on.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let labelled = self.labelled.saturating_sub(before.labelled);
        let wrong = self.wrong.saturating_sub(before.wrong);
        if self.requests < before.requests {
            return Self { labelled, wrong, ..self.clone() };
        }
        let of = |counts: &[u64], class: usize| counts.get(class).copied().unwrap_or(0);
        let latencies = (0..self.latencies.len())
            .map(|class| of(&self.latencies, class).saturating_sub(of(&before.latencies, class)))
            .collect();
        Self {
            requests: self.requests - before.requests,
            errors: self.errors.saturating_sub(before.errors),
            latencies,
            labelled,
            wrong,
            compared: self.compared.saturating_sub(before.compared),
            disagreed: self.disagreed.saturating_sub(before.disagreed),
        }
    }

    /// The labels alone.
    #[must_use]
    pub fn labels(&self) -> Self {
        Self { labelled: self.labelled, wrong: self.wrong, ..Self::default() }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.requests + self.labelled == 0
    }

    /// Adds these.
    pub fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.errors += more.errors;
        self.labelled += more.labelled;
        self.wrong += more.wrong;
        self.compared += more.compared;
        self.disagreed += more.disagreed;
        if self.latencies.len() < more.latencies.len() {
            self.latencies.resize(more.latencies.len(), 0);
        }
        self.latencies.iter_mut().zip(&more.latencies).for_each(|(count, more)| *count += more);
    }

    /// The share that failed; 0 of none.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }

    /// The share of labels that say the answer was wrong; 0 without a label.
    pub fn wrong_rate(&self) -> f64 {
        if self.labelled == 0 { 0.0 } else { self.wrong as f64 / self.labelled as f64 }
    }

    /// The share of answers to copies that were other than the champion's; 0 of none.
    pub fn disagreement(&self) -> f64 {
        if self.compared == 0 { 0.0 } else { self.disagreed as f64 / self.compared as f64 }
    }

    /// The class within which 95 % were answered; `None` without a request.
    pub fn class_p95(&self) -> Option<usize> {
        self.class_within(95)
    }

    /// The class within which this many of a hundred were answered; `None` without a request.
    pub fn class_within(&self, percent: u64) -> Option<usize> {
        let all: u64 = self.latencies.iter().sum();
        let mut sum = 0;
        self.latencies.iter().position(|count| {
            sum += count;
            all > 0 && sum * 100 >= all * percent
        })
    }

    /// How many took longer than this class's bound.
    fn longer_than(&self, class: usize) -> u64 {
        self.latencies.iter().skip(class + 1).sum()
    }
}

/// A batch: requests and bad ones, of candidate and champion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    m: u64,
    x: u64,
    n: u64,
    y: u64,
}

/// Capital of bets that the candidate is worse.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bets {
    /// The logarithm of the capital on each odds ratio; empty before the first batch.
    logs: Vec<f64>,
    /// What was not betted on yet, since one of the two had no request.
    open: Batch,
}

impl Bets {
    /// Bets on a batch. Nothing is betted until both have answered something.
    fn add(&mut self, batch: Batch) {
        let open = &mut self.open;
        (open.m, open.x) = (open.m + batch.m, open.x + batch.x);
        (open.n, open.y) = (open.n + batch.n, open.y + batch.y);
        if open.m == 0 || open.n == 0 {
            return;
        }
        let batch = std::mem::take(open);
        self.logs.resize(RATIOS.len(), 0.0);
        for (log, ratio) in self.logs.iter_mut().zip(RATIOS) {
            *log += batch.x as f64 * ratio.ln() - log_expected(batch, ratio.ln());
        }
    }

    /// Puts what totals show in the place of bets.
    fn set(&mut self, log: f64) {
        self.logs = vec![log; RATIOS.len()];
    }

    /// The logarithm of the capital: how sure it is that the candidate is worse, at any time.
    pub fn log(&self) -> f64 {
        let most = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.logs.is_empty() {
            return 0.0;
        }
        let sum: f64 = self.logs.iter().map(|log| (log - most).exp()).sum();
        most + (sum / RATIOS.len() as f64).ln()
    }
}

/// The logarithm of the expectation of `w^X`, where `X` is hypergeometric: of `m + n` requests, `x + y` are bad, and `X` of
/// those are among the `m`.
fn log_expected(batch: Batch, log_w: f64) -> f64 {
    let Batch { m, x, n, y } = batch;
    let bad = x + y;
    let (least, most) = (bad.saturating_sub(n), bad.min(m));
    // Probabilities relative to that of the least, in logarithms: neighbours have a simple ratio.
    let mut log_p = 0.0;
    let mut logs = Vec::with_capacity((most - least + 1) as usize);
    for k in least..=most {
        logs.push((k, log_p));
        let up = ((m - k) as f64) * ((bad - k) as f64);
        let down = (k + 1) as f64 * ((n + k + 1) as f64 - bad as f64);
        log_p += (up / down).ln();
    }
    let log_sum = |tilt: f64| {
        let most = logs.iter().map(|(k, log)| log + tilt * *k as f64).fold(f64::NEG_INFINITY, f64::max);
        most + logs.iter().map(|(k, log)| (log + tilt * *k as f64 - most).exp()).sum::<f64>().ln()
    };
    log_sum(log_w) - log_sum(0.0)
}

/// What a guard looks at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "on")]
pub enum Guarded {
    /// The share of requests that fail; how much more is borne.
    ErrorRate {
        /// As a share of all requests.
        by: f64,
    },
    /// The latency of the slowest twentieth; how much longer is borne.
    LatencyP95 {
        /// As a share of the champion's.
        by: f64,
    },
    /// How often answers are right; how much less often is borne.
    Quality {
        /// As a share of all labels.
        by: f64,
    },
    /// How often answers to copies are other than the champion's; how often is borne.
    Disagreement {
        /// As a share of all that were compared.
        by: f64,
    },
}

/// A guard and what it has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// On what.
    pub guarded: Guarded,
    /// Whether the champion has answered before the candidate, and not beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
    /// What it has seen.
    pub bets: Bets,
}

impl Guard {
    /// The guard of a spec that is valid.
    pub fn of(spec: &GuardSpec) -> Option<Self> {
        let words = [&spec.error_rate, &spec.latency_p95, &spec.quality, &spec.disagreement];
        let of: [fn(f64) -> Guarded; 4] = [
            |by| Guarded::ErrorRate { by },
            |by| Guarded::LatencyP95 { by },
            |by| Guarded::Quality { by },
            |by| Guarded::Disagreement { by },
        ];
        let (limit, guarded) = words.into_iter().zip(of).find_map(|(word, of)| Some((word.as_ref()?, of)))?;
        Some(Self { guarded: guarded(limit.share()?), before: false, bets: Bets::default() })
    }

    /// Takes in what both have answered since the last look; `champion_before` is all that the champion had answered then.
    pub fn look(&mut self, candidate: &Counts, champion: &Counts, champion_before: &Counts) {
        if !self.before
            && let Some(batch) = self.batch(candidate, champion, champion_before)
        {
            self.bets.add(batch);
        }
    }

    /// Takes in all that both have answered, where totals are compared.
    pub fn weigh(&mut self, candidate: &Counts, champion: &Counts) {
        if let Guarded::Disagreement { by } = self.guarded {
            // Counters are not read at one moment.
            let bad = candidate.disagreed.min(candidate.compared);
            self.bets.set(total::above(bad, candidate.compared, by));
        } else if self.before
            && let Some(batch) = self.batch(candidate, champion, champion)
        {
            self.bets.set(total::differ(batch));
        }
    }

    /// Requests and bad ones, as this guard sees them; `None` where it cannot say yet, or compares with no champion.
    fn batch(&self, candidate: &Counts, champion: &Counts, champion_before: &Counts) -> Option<Batch> {
        Some(match self.guarded {
            Guarded::Disagreement { .. } => return None,
            Guarded::ErrorRate { .. } => {
                // Counters are not read at one moment.
                let bad = |counts: &Counts| counts.errors.min(counts.requests);
                Batch { m: candidate.requests, x: bad(candidate), n: champion.requests, y: bad(champion) }
            }
            Guarded::Quality { .. } => {
                let bad = |counts: &Counts| counts.wrong.min(counts.labelled);
                Batch { m: candidate.labelled, x: bad(candidate), n: champion.labelled, y: bad(champion) }
            }
            Guarded::LatencyP95 { by } => {
                // The limits are known before the batch, so that it is a fair bet.
                let class = champion_before.class_p95().filter(|_| champion_before.requests >= ENOUGH)?;
                let allowed = class + (1.0 + by).log(GROWTH).ceil() as usize;
                let answered = |counts: &Counts| counts.latencies.iter().sum();
                let n: u64 = answered(champion);
                // A limit that is drawn from the very answers that it is for has no more than a twentieth behind it.
                let at_least = if self.before { n.div_ceil(20) } else { 0 };
                Batch {
                    m: answered(candidate),
                    x: candidate.longer_than(allowed),
                    n,
                    y: champion.longer_than(class).max(at_least),
                }
            }
        })
    }

    /// Why the candidate has to go, if it is worse: surely so, and by more than is borne. `n_guards` share the risk of an
    /// error; the counts are all of the rollout.
    pub fn breach(&self, n_guards: usize, candidate: &Counts, champion: &Counts) -> Option<String> {
        // What is no number is no evidence.
        let is_sure = self.bets.log() >= (n_guards as f64 / ALPHA).ln();
        if !is_sure {
            return None;
        }
        let sure = format!("sure at any time to {:.1} %", 100.0 - 100.0 * ALPHA);
        match self.guarded {
            Guarded::ErrorRate { by } => {
                let (ours, theirs) = (candidate.error_rate(), champion.error_rate());
                (ours > theirs + by).then(|| {
                    format!(
                        "errorRate: {:.2} % of its {} requests failed, {:.2} % of the champion's {}; worse by more than {by}, {sure}",
                        ours * 100.0,
                        candidate.requests,
                        theirs * 100.0,
                        champion.requests
                    )
                })
            }
            Guarded::Quality { by } => {
                let (ours, theirs) = (candidate.wrong_rate(), champion.wrong_rate());
                (ours > theirs + by).then(|| {
                    format!(
                        "quality: {:.2} % of its {} labelled answers are wrong, {:.2} % of the champion's {}; worse by more than {by}, {sure}",
                        ours * 100.0,
                        candidate.labelled,
                        theirs * 100.0,
                        champion.labelled
                    )
                })
            }
            Guarded::Disagreement { by } => (candidate.disagreement() > by).then(|| {
                format!(
                    "disagreement: {:.2} % of its {} answers to copies are other than the champion's; more than {by}, {sure}",
                    candidate.disagreement() * 100.0,
                    candidate.compared
                )
            }),
            Guarded::LatencyP95 { by } => {
                let millis = |counts: &Counts| counts.class_p95().map_or(0.0, |class| bound(class) * 1000.0);
                let (ours, theirs) = (millis(candidate), millis(champion));
                (ours > theirs * (1.0 + by)).then(|| {
                    format!(
                        "latencyP95: 95 % of its requests took up to {ours:.1} ms, of the champion's {theirs:.1} ms; worse by \
                         more than {:.0} %, {sure}",
                        by * 100.0
                    )
                })
            }
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.guarded {
            Guarded::ErrorRate { by } => write!(f, "errorRate worse by {by}")?,
            Guarded::LatencyP95 { by } => write!(f, "latencyP95 worse by {:.0} %", by * 100.0)?,
            Guarded::Quality { by } => write!(f, "quality worse by {by}")?,
            Guarded::Disagreement { by } => write!(f, "disagreement above {by}")?,
        }
        // A capital of 1 is where the bets began, 100 and more sends back.
        write!(f, ": evidence {:.2}", self.bets.log().exp())
    }
}

#[cfg(test)]
mod tests;
