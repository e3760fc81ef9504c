//! The values one parameter may take.

use serde::{Deserialize, Serialize};

use super::SpaceError;
use crate::Value;

/// How values of a numeric domain are distributed before anything is known.
///
/// For `Normal`, mean = (min + max) / 2 and standard deviation = (max - min) / 6, truncated to [min, max];
/// `LogNormal` is the same in the logarithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Distribution {
    /// Every value equally likely.
    #[default]
    Uniform,
    /// Every order of magnitude equally likely; min > 0.
    LogUniform,
    /// Truncated normal.
    Normal,
    /// Truncated normal in the logarithm; min > 0.
    LogNormal,
}

impl Distribution {
    /// Whether the natural scale is the logarithm.
    pub fn is_log(self) -> bool {
        matches!(self, Self::LogUniform | Self::LogNormal)
    }
}

/// The values that a parameter may take. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum Domain {
    /// Real numbers; with a step only `min + k * step` up to max.
    Float {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Distance of neighbours, above 0.
        step: Option<f64>,
        /// Prior.
        distribution: Distribution,
    },
    /// Whole numbers `min + k * step` up to max.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Distance of neighbours, at least 1.
        step: i64,
        /// Prior.
        distribution: Distribution,
    },
    /// A list of numbers, in rising order, with the text of each as the user wrote it.
    Discrete {
        /// Texts.
        texts: Vec<String>,
        /// Their values, same length, rising.
        values: Vec<f64>,
    },
    /// A list of names.
    Categorical {
        /// The names, distinct.
        choices: Vec<String>,
        /// Whether their order means something.
        ordered: bool,
    },
}

impl Domain {
    /// How many values there are, `u64::MAX` for more than that; `None` if they form a continuum.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { min, max, step: Some(step), .. } => Some(lattice_points(*min, *max, *step)),
            Self::Float { min, max, step: None, .. } => (min >= max).then_some(1),
            Self::Int { min, max, step, .. } => {
                Some((max.abs_diff(*min) / step.unsigned_abs().max(1)).saturating_add(1))
            }
            Self::Discrete { values, .. } => Some(values.len() as u64),
            Self::Categorical { choices, .. } => Some(choices.len() as u64),
        }
    }

    /// The `k`-th value of a domain with a cardinality, in its order. Past the end it is the last.
    pub fn nth(&self, k: u64) -> Value {
        match self {
            Self::Float { min, max, step, .. } => {
                let x = min + step.unwrap_or(0.0) * k as f64;
                Value::Float(tidy(x).clamp(*min, *max))
            }
            Self::Int { min, max, step, .. } => {
                let last = max.abs_diff(*min) / step.unsigned_abs().max(1);
                Value::Int((i128::from(*min) + i128::from(*step) * i128::from(k.min(last))) as i64)
            }
            Self::Discrete { values, .. } => Value::Choice((k as usize).min(values.len().saturating_sub(1))),
            Self::Categorical { choices, .. } => {
                Value::Choice((k as usize).min(choices.len().saturating_sub(1)))
            }
        }
    }

    /// Whether the value is of this domain, on its lattice and within its bounds.
    pub fn contains(&self, value: Value) -> bool {
        match (self, value) {
            (Self::Float { min, max, step, .. }, Value::Float(x)) => {
                let on_lattice = step.is_none_or(|step| {
                    let k = ((x - min) / step).round();
                    (tidy(min + k * step) - x).abs() <= 1e-9 * step.max(x.abs())
                });
                *min <= x && x <= *max && on_lattice
            }
            (Self::Int { min, max, step, .. }, Value::Int(x)) => {
                *min <= x && x <= *max && x.abs_diff(*min).is_multiple_of(step.unsigned_abs().max(1))
            }
            (Self::Discrete { values, .. }, Value::Choice(i)) => i < values.len(),
            (Self::Categorical { choices, .. }, Value::Choice(i)) => i < choices.len(),
            _ => false,
        }
    }

    /// The text of a value, as a trial gets it: shortest decimal that reads back the same. Empty if not of this domain.
    pub fn text(&self, value: Value) -> String {
        match (self, value) {
            (Self::Discrete { texts, .. }, Value::Choice(i)) => texts.get(i).cloned().unwrap_or_default(),
            (Self::Categorical { choices, .. }, Value::Choice(i)) => {
                choices.get(i).cloned().unwrap_or_default()
            }
            (_, Value::Int(x)) => x.to_string(),
            (_, Value::Float(x)) if x != 0.0 && !(1e-15..1e17).contains(&x.abs()) => format!("{x:e}"),
            (_, Value::Float(x)) => format!("{x}"),
            _ => String::new(),
        }
    }

    /// The value of a text, `None` if it is none of this domain's type (bounds and lattice are not checked).
    #[expect(clippy::float_cmp, reason = "a listed number written in another way is read as the same bits")]
    pub fn parse(&self, text: &str) -> Option<Value> {
        match self {
            Self::Float { .. } => text.trim().parse().ok().filter(|x: &f64| x.is_finite()).map(Value::Float),
            Self::Int { .. } => {
                let number = || text.trim().parse().ok().filter(|x: &f64| x.fract() == 0.0 && x.abs() < 9e15);
                text.trim().parse().ok().or_else(|| number().map(|x| x as i64)).map(Value::Int)
            }
            Self::Discrete { texts, values } => {
                let by_text = texts.iter().position(|t| t == text);
                let by_value =
                    || text.trim().parse::<f64>().ok().and_then(|x| values.iter().position(|v| *v == x));
                by_text.or_else(by_value).map(Value::Choice)
            }
            Self::Categorical { choices, .. } => choices.iter().position(|c| c == text).map(Value::Choice),
        }
    }

    /// The number that a value stands for in constraints and conditions; `None` for names.
    pub fn number(&self, value: Value) -> Option<f64> {
        match (self, value) {
            (_, Value::Float(x)) => Some(x),
            (_, Value::Int(x)) => Some(x as f64),
            (Self::Discrete { values, .. }, Value::Choice(i)) => values.get(i).copied(),
            (_, Value::Choice(_)) => None,
        }
    }

    pub(super) fn check(&self, name: &str) -> Result<(), SpaceError> {
        let name = || name.to_owned();
        match self {
            Self::Float { min, max, step, distribution } => {
                for (bound, value) in [("min", Some(*min)), ("max", Some(*max)), ("step", *step)] {
                    if value.is_some_and(|v| !v.is_finite()) {
                        return Err(SpaceError::NotFinite { name: name(), bound });
                    }
                }
                check_bounds(name(), *min, *max, step.unwrap_or(1.0), *distribution)
            }
            Self::Int { min, max, step, distribution } => {
                check_bounds(name(), *min as f64, *max as f64, *step as f64, *distribution)
            }
            Self::Discrete { values, .. } if values.is_empty() => Err(SpaceError::EmptyList(name())),
            Self::Categorical { choices, .. } if choices.is_empty() => Err(SpaceError::EmptyList(name())),
            Self::Discrete { values, .. } if values.iter().any(|v| !v.is_finite()) => {
                Err(SpaceError::NotFinite { name: name(), bound: "list" })
            }
            _ => Ok(()),
        }
    }
}

fn check_bounds(
    name: String,
    min: f64,
    max: f64,
    step: f64,
    distribution: Distribution,
) -> Result<(), SpaceError> {
    if min > max {
        Err(SpaceError::MinAboveMax { name, min, max })
    } else if step <= 0.0 {
        Err(SpaceError::StepNotPositive { name, step })
    } else if distribution.is_log() && min <= 0.0 {
        Err(SpaceError::LogOfNonPositive { name, min })
    } else {
        Ok(())
    }
}

/// Number of points `min + k * step` up to `max`, which counts when it lies on the lattice but for rounding.
fn lattice_points(min: f64, max: f64, step: f64) -> u64 {
    (((max - min) / step + 1e-9).floor().max(0.0) as u64).saturating_add(1)
}

/// The number rounded to 12 significant digits, so that lattices print as `0.3` and not `0.30000000000000004`.
fn tidy(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}
