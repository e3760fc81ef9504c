//! Which algorithms there are, what each can do, and how to make one for a study.
//!
//! One table serves the list of `cairn algorithms`, the refusals of the validator and the construction of samplers.

mod feature;
mod rows;

use algorithms::settings::SettingsError;
use algorithms::{Sampler, Scheduler};
use study::{Algorithm, Study};

pub use feature::{Can, Feature};
pub use rows::Setting;
use rows::{Row, SAMPLERS};

/// What people should know of an algorithm.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name in Experiments.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Name, default and meaning of each setting.
    pub settings: &'static [Setting],
    /// What it can do.
    pub features: Vec<(Feature, Can)>,
    /// Where it was published.
    pub source: &'static str,
    /// Whether it stops trials instead of proposing points.
    pub early_stopping: bool,
}

/// What answers for a study.
pub struct Engine {
    /// Proposes points.
    pub sampler: Box<dyn Sampler>,
    /// Stops trials, if the study wants that.
    pub scheduler: Option<Box<dyn Scheduler>>,
}

/// Everything in the registry, in its order.
pub fn list() -> Vec<Info> {
    let samplers = SAMPLERS.iter().map(|row| Info {
        name: row.name,
        summary: row.summary,
        settings: row.settings,
        features: Feature::ALL.into_iter().map(|feature| (feature, row.can(feature))).collect(),
        source: row.source,
        early_stopping: false,
    });
    samplers.collect()
}

/// Makes what answers for a study, if its algorithms exist, accept their settings and can search its space.
///
/// # Errors
/// Every reason why not.
pub fn build(study: &Study) -> Result<Engine, Vec<SettingsError>> {
    let mut errors = Vec::new();
    let mut sampler = None;
    match Row::find(&study.algorithm.name) {
        None => errors.push(unknown(&study.algorithm.name, SAMPLERS.iter().map(|row| row.name))),
        Some(row) => {
            errors.extend(refusals(row, study));
            match (row.make)(study) {
                Ok(made) => sampler = Some(made),
                Err(error) => errors.push(error),
            }
        }
    }
    if let Some(Algorithm { name, .. }) = &study.early_stopping {
        errors.push(unknown(name, std::iter::empty()));
    }
    match sampler {
        Some(sampler) if errors.is_empty() => Ok(Engine { sampler, scheduler: None }),
        _ => Err(errors),
    }
}

/// What a study asks of an algorithm that cannot do it.
fn refusals<'a>(row: &'a Row, study: &Study) -> impl Iterator<Item = SettingsError> + 'a {
    let lacking = Feature::needs(study).into_iter().filter(|need| row.can(*need) == Can::No);
    lacking.map(|need| SettingsError::Unsuited {
        algorithm: row.name.into(),
        problem: format!("it cannot do {}; use {}", need.plural(), able(need)),
    })
}

/// Samplers that can do something, as a list for people.
fn able(need: Feature) -> String {
    let able = SAMPLERS.iter().filter(|row| row.can(need) != Can::No);
    able.map(|row| format!("`{}`", row.name)).collect::<Vec<_>>().join(", ")
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> SettingsError {
    let known: Vec<&str> = known.collect();
    let nearest = known.iter().map(|other| (distance(name, other), *other)).min().filter(|(d, _)| *d <= 3);
    let hint = match nearest {
        Some((_, nearest)) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; there are {}", known.join(", ")),
    };
    SettingsError::UnknownAlgorithm { name: name.into(), hint }
}

/// Edit distance after Levenshtein.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        let error = unknown("ramdom", ["random", "grid"].into_iter());
        assert_eq!(error.to_string(), "unknown algorithm `ramdom`; did you mean `random`?");
        let error = unknown("simulated-annealing", ["random", "grid"].into_iter());
        assert_eq!(error.to_string(), "unknown algorithm `simulated-annealing`; there are random, grid");
    }
}
