//! What a search space or its use may ask of an algorithm, and whether it can.

use study::{Domain, Study};

/// Something that a search space or its use may ask of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Beliefs where the best point lies.
    Priors,
    /// Several trials at once.
    Parallel,
}

impl Feature {
    /// All, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Float,
        Self::Int,
        Self::Discrete,
        Self::Categorical,
        Self::Conditional,
        Self::Constraints,
        Self::Priors,
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
            Self::Priors => "priors",
            Self::Parallel => "parallel",
        }
    }

    /// The same as a thing that one can do or not.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Float => "float parameters",
            Self::Int => "int parameters",
            Self::Discrete => "discrete parameters",
            Self::Categorical => "categorical parameters",
            Self::Conditional => "conditional parameters",
            Self::Constraints => "constraints between parameters",
            Self::Priors => "priors of parameters",
            Self::Parallel => "several trials at once",
        }
    }

    /// What a study asks for, each once.
    pub(super) fn needs(study: &Study) -> Vec<Self> {
        let space = &study.space;
        let of = |domain: &Domain| match domain {
            Domain::Float { step: None, .. } => Self::Float,
            Domain::Float { .. } | Domain::Int { .. } => Self::Int,
            Domain::Discrete { .. } => Self::Discrete,
            Domain::Categorical { .. } => Self::Categorical,
        };
        let mut needs: Vec<Self> = space.parameters().iter().map(|parameter| of(&parameter.domain)).collect();
        needs.extend(space.is_conditional().then_some(Self::Conditional));
        needs.extend((!space.constraints().is_empty()).then_some(Self::Constraints));
        let believed = space.parameters().iter().any(|parameter| parameter.prior.is_some());
        needs.extend(believed.then_some(Self::Priors));
        needs.extend((study.parallel > 1).then_some(Self::Parallel));
        needs.sort_unstable();
        needs.dedup();
        needs
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
    /// Within this limit.
    Within(&'static str),
}

impl std::fmt::Display for Can {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Within(limit) => limit,
        })
    }
}
