//! Which algorithms there are, what each can do, and how to make one for a study.
//!
//! One table serves the list of `cairn algorithms`, the refusals of the validator and the construction of samplers.

use algorithms::settings::SettingsError;
use algorithms::{Sampler, Scheduler};
use study::{Algorithm, Domain, Space, Study};

/// Something that a search space or its use may ask of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Real numbers without a step.
    Float,
    /// Whole numbers and numbers with a step.
    Int,
    /// Lists of numbers.
    Discrete,
    /// Lists of names.
    Categorical,
    /// Parameters under conditions.
    Conditional,
    /// Hard constraints.
    Constraints,
    /// Several trials at once.
    Parallel,
}

impl Feature {
    /// All, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Float,
        Self::Int,
        Self::Discrete,
        Self::Categorical,
        Self::Conditional,
        Self::Constraints,
        Self::Parallel,
    ];

    /// What it is called where people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::Discrete => "discrete",
            Self::Categorical => "categorical",
            Self::Conditional => "conditional",
            Self::Constraints => "constraints",
            Self::Parallel => "parallel",
        }
    }
}

impl std::fmt::Display for Feature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether an algorithm can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Can {
    /// Wholly.
    Yes,
    /// Not at all: refused.
    No,
}

impl std::fmt::Display for Can {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Yes { "yes" } else { "no" })
    }
}

/// What people should know of an algorithm.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its name in Experiments.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Name, default and meaning of each setting.
    pub settings: &'static [(&'static str, &'static str, &'static str)],
    /// What it can do.
    pub features: Vec<(Feature, Can)>,
    /// Where it was published.
    pub source: &'static str,
    /// Whether it stops trials instead of proposing points.
    pub early_stopping: bool,
}

type Make = fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;

/// A row of the registry: what is said of a sampler, what it cannot do, and how it is made.
struct Row {
    name: &'static str,
    summary: &'static str,
    settings: &'static [(&'static str, &'static str, &'static str)],
    lacks: &'static [Feature],
    source: &'static str,
    make: Make,
}

const SEED: (&str, &str, &str) = ("random_state", "spec.seed", "seed of all chance");

const SAMPLERS: &[Row] = &[Row {
    name: "random",
    summary: "draws every point from the prior",
    settings: &[SEED],
    lacks: &[],
    source: "Bergstra and Bengio 2012, JMLR 13:281",
    make: |study| Ok(Box::new(algorithms::random::Random::new(study)?)),
}];

/// What answers for a study.
pub struct Engine {
    /// Proposes points.
    pub sampler: Box<dyn Sampler>,
    /// Stops trials, if the study wants that.
    pub scheduler: Option<Box<dyn Scheduler>>,
}

/// Everything in the registry, in its order.
pub fn list() -> Vec<Info> {
    let features = |lacks: &[Feature]| {
        let can = |feature: Feature| {
            if lacks.contains(&feature) { Can::No } else { Can::Yes }
        };
        Feature::ALL.into_iter().map(|feature| (feature, can(feature))).collect()
    };
    let samplers = SAMPLERS.iter().map(|row| Info {
        name: row.name,
        summary: row.summary,
        settings: row.settings,
        features: features(row.lacks),
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
    match SAMPLERS.iter().find(|row| row.name == study.algorithm.name) {
        None => errors.push(unknown(&study.algorithm.name, SAMPLERS.iter().map(|row| row.name))),
        Some(row) => {
            errors.extend(needs(&study.space).into_iter().filter(|need| row.lacks.contains(need)).map(
                |need| SettingsError::Unsuited {
                    algorithm: row.name.into(),
                    problem: format!("it cannot do {need} parameters; use {}", able(need)),
                },
            ));
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

/// What a space asks of an algorithm.
fn needs(space: &Space) -> Vec<Feature> {
    let mut needs: Vec<Feature> = space
        .parameters()
        .iter()
        .map(|parameter| match parameter.domain {
            Domain::Float { step: None, .. } => Feature::Float,
            Domain::Float { .. } | Domain::Int { .. } => Feature::Int,
            Domain::Discrete { .. } => Feature::Discrete,
            Domain::Categorical { .. } => Feature::Categorical,
        })
        .collect();
    needs.extend(space.is_conditional().then_some(Feature::Conditional));
    needs.extend((!space.constraints().is_empty()).then_some(Feature::Constraints));
    needs.dedup();
    needs
}

/// Samplers that can do something, as a list for people.
fn able(need: Feature) -> String {
    let able = SAMPLERS.iter().filter(|row| !row.lacks.contains(&need));
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
