//! Where points may lie: named parameters with domains, conditions between them, and hard constraints.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Assignment, Constraint, Value};

/// Why a search space cannot be searched.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpaceError {
    /// Two parameters share a name.
    #[error("two parameters are named `{0}`")]
    DuplicateName(String),
    /// A bound is NaN or infinite.
    #[error("`{name}`: {bound} is not a finite number")]
    NotFinite {
        /// Parameter.
        name: String,
        /// `min`, `max` or `step`.
        bound: &'static str,
    },
    /// Nothing lies between the bounds.
    #[error("`{name}`: min {min} is above max {max}")]
    MinAboveMax {
        /// Parameter.
        name: String,
        /// Lower bound.
        min: f64,
        /// Upper bound.
        max: f64,
    },
    /// A step that leads nowhere.
    #[error("`{name}`: step {step} must be above 0")]
    StepNotPositive {
        /// Parameter.
        name: String,
        /// The step.
        step: f64,
    },
    /// The logarithm of the lower bound does not exist.
    #[error("`{name}`: a log distribution needs min above 0, has {min}")]
    LogOfNonPositive {
        /// Parameter.
        name: String,
        /// Lower bound.
        min: f64,
    },
    /// A list without entries.
    #[error("`{0}`: the list is empty")]
    EmptyList(String),
    /// A condition on a parameter that does not exist.
    #[error("`{name}`: its condition names `{parent}`, which is no parameter")]
    UnknownParent {
        /// Parameter with the condition.
        name: String,
        /// What it names.
        parent: String,
    },
    /// A condition that can never hold.
    #[error("`{name}`: its condition on `{parent}` holds for none of its values")]
    ConditionNeverHolds {
        /// Parameter with the condition.
        name: String,
        /// Parameter it depends on.
        parent: String,
    },
    /// Conditions in a circle.
    #[error("`{0}`: its conditions lead back to itself")]
    ConditionCircle(String),
    /// A constraint over something that is no number of this space.
    #[error("constraint `{constraint}`: `{name}` is no int, double or numeric list parameter")]
    ConstraintOperand {
        /// The constraint as written.
        constraint: String,
        /// What it names.
        name: String,
    },
    /// A space without parameters.
    #[error("the search space has no parameters")]
    NoParameters,
}

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
    /// How many values there are; `None` if they form a continuum.
    pub fn cardinality(&self) -> Option<u64> {
        match self {
            Self::Float { min, max, step: Some(step), .. } => Some(lattice_points(*min, *max, *step)),
            Self::Float { min, max, step: None, .. } => (min >= max).then_some(1),
            Self::Int { min, max, step, .. } => Some(max.abs_diff(*min) / step.unsigned_abs().max(1) + 1),
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

    fn check(&self, name: &str) -> Result<(), SpaceError> {
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
    ((max - min) / step + 1e-9).floor().max(0.0) as u64 + 1
}

/// The number rounded to 12 significant digits, so that lattices print as `0.3` and not `0.30000000000000004`.
fn tidy(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

/// What a condition demands of its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Requirement {
    /// One of these values, as text.
    OneOf {
        /// The texts, not empty.
        values: Vec<String>,
    },
    /// A number within these bounds, inclusive.
    Between {
        /// Lower bound, if any.
        min: Option<f64>,
        /// Upper bound, if any.
        max: Option<f64>,
    },
}

/// A condition under which a parameter exists: its parent is active and meets a requirement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Name of the parameter it depends on.
    pub parent: String,
    /// What is demanded of it.
    pub requirement: Requirement,
}

impl Condition {
    /// Whether the parent's value meets the requirement.
    pub fn holds(&self, parent: &Domain, value: Value) -> bool {
        match &self.requirement {
            Requirement::OneOf { values } => values.iter().any(|text| parent.parse(text) == Some(value)),
            Requirement::Between { min, max } => parent
                .number(value)
                .is_some_and(|x| min.is_none_or(|min| min <= x) && max.is_none_or(|max| x <= max)),
        }
    }
}

/// A named dimension of a search space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Unique in its space.
    pub name: String,
    /// Values it may take.
    pub domain: Domain,
    /// All must hold for it to be active; empty: always active.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// A value worth trying first; also what an inactive parameter's placeholder becomes.
    #[serde(default)]
    pub default: Option<Value>,
}

/// A search space whose parameters, conditions and constraints have been checked against each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Space {
    parameters: Vec<Parameter>,
    constraints: Vec<Constraint>,
    index: BTreeMap<String, usize>,
    /// Parents before children.
    order: Vec<usize>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Unchecked {
    parameters: Vec<Parameter>,
    #[serde(default)]
    constraints: Vec<Constraint>,
}

impl TryFrom<Unchecked> for Space {
    type Error = SpaceError;
    fn try_from(raw: Unchecked) -> Result<Self, SpaceError> {
        Self::new(raw.parameters, raw.constraints).map_err(|mut errors| errors.remove(0))
    }
}

impl From<Space> for Unchecked {
    fn from(space: Space) -> Self {
        Self { parameters: space.parameters, constraints: space.constraints }
    }
}

impl Space {
    /// Checks parameters and constraints and joins them to a space.
    ///
    /// # Errors
    /// Every problem found, at least one.
    pub fn new(parameters: Vec<Parameter>, constraints: Vec<Constraint>) -> Result<Self, Vec<SpaceError>> {
        let mut errors = Vec::new();
        if parameters.is_empty() {
            errors.push(SpaceError::NoParameters);
        }
        let mut index = BTreeMap::new();
        for (i, parameter) in parameters.iter().enumerate() {
            if index.insert(parameter.name.clone(), i).is_some() {
                errors.push(SpaceError::DuplicateName(parameter.name.clone()));
            }
            errors.extend(parameter.domain.check(&parameter.name).err());
        }
        for parameter in &parameters {
            errors.extend(parameter.when.iter().filter_map(|condition| {
                check_condition(&parameter.name, condition, &parameters, &index).err()
            }));
        }
        for constraint in &constraints {
            errors.extend(
                constraint.names().iter().filter(|name| !is_numeric(name, &parameters, &index)).map(|name| {
                    SpaceError::ConstraintOperand {
                        constraint: constraint.to_string(),
                        name: (*name).to_owned(),
                    }
                }),
            );
        }
        let order = parents_first(&parameters, &index).unwrap_or_else(|name| {
            errors.push(SpaceError::ConditionCircle(name));
            Vec::new()
        });
        if errors.is_empty() { Ok(Self { parameters, constraints, index, order }) } else { Err(errors) }
    }

    /// The parameters, in the user's order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The hard constraints.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// Positions of the parameters, parents before the children that depend on them.
    pub fn parents_first(&self) -> &[usize] {
        &self.order
    }

    /// Position of a parameter by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Whether any parameter has a condition.
    pub fn is_conditional(&self) -> bool {
        self.parameters.iter().any(|p| !p.when.is_empty())
    }

    /// Whether the parameter is active under this assignment (its parents must have been decided).
    pub fn is_active(&self, parameter: usize, assignment: &Assignment) -> bool {
        self.parameters[parameter].when.iter().all(|condition| {
            let parent = self.index[&condition.parent];
            assignment
                .get(parent)
                .is_some_and(|value| condition.holds(&self.parameters[parent].domain, value))
        })
    }

    /// The assignment without the values of inactive parameters.
    #[must_use]
    pub fn deactivate(&self, mut assignment: Assignment) -> Assignment {
        assignment.0.resize(self.parameters.len(), None);
        for &i in &self.order {
            if !self.is_active(i, &assignment) {
                assignment.0[i] = None;
            }
        }
        assignment
    }

    /// Whether all constraints hold. One that names an inactive parameter holds.
    pub fn is_feasible(&self, assignment: &Assignment) -> bool {
        self.constraints.iter().all(|constraint| {
            constraint
                .holds(&|name| {
                    let i = self.position(name)?;
                    assignment.get(i).and_then(|value| self.parameters[i].domain.number(value))
                })
                .unwrap_or(true)
        })
    }

    /// Whether the point lies in the space: exactly the active parameters have a value, each of its domain, and all
    /// constraints hold.
    pub fn contains(&self, assignment: &Assignment) -> bool {
        assignment.0.len() == self.parameters.len()
            && self.parameters.iter().enumerate().all(|(i, parameter)| match assignment.get(i) {
                Some(value) => self.is_active(i, assignment) && parameter.domain.contains(value),
                None => !self.is_active(i, assignment),
            })
            && self.is_feasible(assignment)
    }

    /// Texts of the active parameters, by name, in the user's order.
    pub fn texts(&self, assignment: &Assignment) -> Vec<(String, String)> {
        let parameters = self.parameters.iter().enumerate();
        parameters.filter_map(|(i, p)| Some((p.name.clone(), p.domain.text(assignment.get(i)?)))).collect()
    }

    /// The assignment of texts by name; `None` for a name that is missing or a text that is none of its domain.
    pub fn parse<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Assignment {
        let mut assignment = Assignment(vec![None; self.parameters.len()]);
        for (name, text) in texts {
            if let Some(i) = self.position(name) {
                assignment.0[i] = self.parameters[i].domain.parse(text);
            }
        }
        assignment
    }
}

fn check_condition(
    name: &str,
    condition: &Condition,
    parameters: &[Parameter],
    index: &BTreeMap<String, usize>,
) -> Result<(), SpaceError> {
    let Some(&parent) = index.get(&condition.parent) else {
        return Err(SpaceError::UnknownParent { name: name.to_owned(), parent: condition.parent.clone() });
    };
    let domain = &parameters[parent].domain;
    let can_hold = match &condition.requirement {
        Requirement::OneOf { values } => {
            values.iter().any(|text| domain.parse(text).is_some_and(|value| domain.contains(value)))
        }
        Requirement::Between { min, max } => match domain {
            Domain::Float { min: low, max: high, .. } => {
                min.is_none_or(|m| m <= *high) && max.is_none_or(|m| *low <= m)
            }
            Domain::Int { min: low, max: high, .. } => {
                min.is_none_or(|m| m <= *high as f64) && max.is_none_or(|m| *low as f64 <= m)
            }
            Domain::Discrete { values, .. } => {
                (0..values.len()).any(|i| condition.holds(domain, Value::Choice(i)))
            }
            Domain::Categorical { .. } => false,
        },
    };
    if can_hold {
        Ok(())
    } else {
        Err(SpaceError::ConditionNeverHolds { name: name.to_owned(), parent: condition.parent.clone() })
    }
}

fn is_numeric(name: &str, parameters: &[Parameter], index: &BTreeMap<String, usize>) -> bool {
    index.get(name).is_some_and(|&i| !matches!(parameters[i].domain, Domain::Categorical { .. }))
}

/// Positions with parents before children, or the name of a parameter on a circle.
fn parents_first(parameters: &[Parameter], index: &BTreeMap<String, usize>) -> Result<Vec<usize>, String> {
    let mut order = Vec::with_capacity(parameters.len());
    let mut placed = BTreeSet::new();
    while order.len() < parameters.len() {
        let before = order.len();
        for (i, parameter) in parameters.iter().enumerate() {
            let mut parents = parameter.when.iter().filter_map(|condition| index.get(&condition.parent));
            if !placed.contains(&i) && parents.all(|parent| placed.contains(parent)) {
                placed.insert(i);
                order.push(i);
            }
        }
        if order.len() == before {
            let stuck = (0..parameters.len()).find(|i| !placed.contains(i)).unwrap_or_default();
            return Err(parameters[stuck].name.clone());
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(min: f64, max: f64, step: Option<f64>) -> Domain {
        Domain::Float { min, max, step, distribution: Distribution::Uniform }
    }

    fn parameter(name: &str, domain: Domain) -> Parameter {
        Parameter { name: name.into(), domain, when: vec![], default: None }
    }

    fn optimizers() -> Space {
        let opt = Domain::Categorical { choices: vec!["sgd".into(), "adam".into()], ordered: false };
        let mut momentum = parameter("momentum", float(0.5, 0.99, None));
        momentum.when = vec![Condition {
            parent: "opt".into(),
            requirement: Requirement::OneOf { values: vec!["sgd".into()] },
        }];
        Space::new(vec![momentum, parameter("opt", opt)], vec![]).unwrap()
    }

    #[test]
    fn a_lattice_is_anchored_at_min_and_includes_max() {
        let domain = float(0.1, 0.5, Some(0.1));
        assert_eq!(domain.cardinality(), Some(5));
        let texts: Vec<_> = (0..5).map(|k| domain.text(domain.nth(k))).collect();
        assert_eq!(texts, ["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert!((0..5).all(|k| domain.contains(domain.nth(k))));
        let ints = Domain::Int { min: 1, max: 10, step: 4, distribution: Distribution::Uniform };
        assert_eq!(ints.cardinality(), Some(3));
        assert_eq!(ints.nth(9), Value::Int(9));
    }

    #[test]
    fn an_inactive_parameter_has_no_value() {
        let space = optimizers();
        assert_eq!(space.parents_first(), [1, 0]);
        let adam = Assignment(vec![Some(Value::Float(0.9)), Some(Value::Choice(1))]);
        assert!(!space.contains(&adam));
        let adam = space.deactivate(adam);
        assert_eq!(adam.get(0), None);
        assert!(space.contains(&adam));
        assert_eq!(space.texts(&adam), [("opt".to_owned(), "adam".to_owned())]);
    }

    #[test]
    fn all_problems_are_found_at_once() {
        let mut child = parameter("c", float(1.0, 0.0, None));
        child.when = vec![Condition {
            parent: "nobody".into(),
            requirement: Requirement::OneOf { values: vec!["1".into()] },
        }];
        let log = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::LogUniform };
        let errors = Space::new(vec![child, parameter("l", log)], vec![]).unwrap_err();
        assert_eq!(errors.len(), 3, "{errors:?}");
    }

    #[test]
    fn circles_of_conditions_are_refused() {
        let when = |parent: &str| {
            vec![Condition {
                parent: parent.into(),
                requirement: Requirement::Between { min: None, max: None },
            }]
        };
        let (mut a, mut b) = (parameter("a", float(0.0, 1.0, None)), parameter("b", float(0.0, 1.0, None)));
        (a.when, b.when) = (when("b"), when("a"));
        assert_eq!(Space::new(vec![a, b], vec![]).unwrap_err(), [SpaceError::ConditionCircle("a".into())]);
    }

    #[test]
    fn numbers_read_back_as_written() {
        let domain = float(-1e300, 1e300, None);
        for x in [0.1, 1e-5, 1e-300, -2.5e20, 0.0, 123_456.789] {
            let text = domain.text(Value::Float(x));
            assert_eq!(domain.parse(&text), Some(Value::Float(x)), "{text}");
        }
        assert_eq!(domain.text(Value::Float(1e-5)), "0.00001");
    }

    #[test]
    fn a_space_survives_json() {
        let space = optimizers();
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), space);
    }
}
