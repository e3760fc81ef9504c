//! Where points may lie: named parameters with domains, conditions between them, and hard constraints.

mod domain;
mod error;
mod network;
mod prior;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Assignment, Constraint, Value};

pub use domain::{Distribution, Domain};
pub use error::SpaceError;
pub use network::{
    CHAIN_TEXTS, Constant, LayerOperation, Network, NetworkSpec, ONE_SHOT_DEFAULTS, ONE_SHOT_TEXTS,
    OperationSpec, SKIP_CONNECTION, float_text,
};
pub use prior::Prior;

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
    /// Where its best value is believed to lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Prior>,
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
    /// What its points are read as, if they are architectures.
    network: Option<Network>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Unchecked {
    parameters: Vec<Parameter>,
    #[serde(default)]
    constraints: Vec<Constraint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<Network>,
}

impl TryFrom<Unchecked> for Space {
    type Error = SpaceError;
    fn try_from(raw: Unchecked) -> Result<Self, SpaceError> {
        match raw.network {
            Some(network) => Self::chain(network),
            None => Self::new(raw.parameters, raw.constraints),
        }
        .map_err(|mut errors| errors.remove(0))
    }
}

impl From<Space> for Unchecked {
    fn from(space: Space) -> Self {
        Self { parameters: space.parameters, constraints: space.constraints, network: space.network }
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
            let believed = parameter.prior.as_ref().and_then(|prior| prior.check(&parameter.domain).err());
            errors
                .extend(believed.map(|problem| SpaceError::Prior { name: parameter.name.clone(), problem }));
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
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self { parameters, constraints, index, order, network: None })
    }

    /// The architectures of a chain of layers: what each layer is, and from which it reads. Its points are given to trials
    /// as `architecture` and `nn_config`.
    ///
    /// # Errors
    /// None that a network which was made can have.
    pub fn chain(network: Network) -> Result<Self, Vec<SpaceError>> {
        let space = Self::new(network.parameters(), Vec::new())?;
        Ok(Self { network: Some(network), ..space })
    }

    /// The one point of a one-shot search, whose trial searches by itself: `algorithm-settings`, `search-space` and
    /// `num-layers`, with these settings in the user's order.
    ///
    /// # Errors
    /// If the network has no layer, or nothing that an edge could be.
    pub fn one_shot(spec: &NetworkSpec, settings: &[(String, String)]) -> Result<Self, Vec<SpaceError>> {
        let refuse = |problem: &str| Err(vec![SpaceError::Network(problem.into())]);
        if spec.n_layers == 0 {
            return refuse("it has no layers");
        }
        let texts = network::one_shot(spec, settings);
        if texts.iter().any(|(_, text)| text == "[]") {
            return refuse("no operation is left that an edge could be");
        }
        let constant = |(name, text): (&str, String)| Parameter {
            name: name.into(),
            domain: Domain::Categorical { choices: vec![text], ordered: false },
            when: Vec::new(),
            default: None,
            prior: None,
        };
        Self::new(texts.into_iter().map(constant).collect(), Vec::new())
    }

    /// The network whose architectures its points are, if they are.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
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
        self.fits(assignment) && self.is_feasible(assignment)
    }

    /// The same without the constraints.
    pub fn fits(&self, assignment: &Assignment) -> bool {
        assignment.0.len() == self.parameters.len()
            && self.parameters.iter().enumerate().all(|(i, parameter)| match assignment.get(i) {
                Some(value) => self.is_active(i, assignment) && parameter.domain.contains(value),
                None => !self.is_active(i, assignment),
            })
    }

    /// Texts of the active parameters, by name, in the user's order; of an architecture, what its trial is given.
    pub fn texts(&self, assignment: &Assignment) -> Vec<(String, String)> {
        if let Some(network) = &self.network {
            return network.texts(assignment);
        }
        let parameters = self.parameters.iter().enumerate();
        parameters.filter_map(|(i, p)| Some((p.name.clone(), p.domain.text(assignment.get(i)?)))).collect()
    }

    /// The point of texts by name that may be of another space: what this one does not have is dropped, and what it has
    /// beside them is taken to have had its default. `None` if the point does not lie in this space.
    pub fn project<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Assignment> {
        let texts: BTreeMap<&str, &str> = texts.into_iter().collect();
        if let Some(network) = &self.network {
            return network.parse(texts.get(network::CHAIN_TEXTS[0])?);
        }
        let mut assignment = Assignment(vec![None; self.parameters.len()]);
        for &i in &self.order {
            let parameter = &self.parameters[i];
            if self.is_active(i, &assignment) {
                assignment.0[i] = match texts.get(parameter.name.as_str()) {
                    Some(text) => parameter.domain.parse(text),
                    None => parameter.default,
                };
            }
        }
        self.contains(&assignment).then_some(assignment)
    }

    /// The assignment of texts by name; `None` for a name that is missing or a text that is none of its domain.
    pub fn parse<'a>(&self, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Assignment {
        let mut assignment = Assignment(vec![None; self.parameters.len()]);
        if let Some(network) = &self.network {
            let mut texts = texts.into_iter();
            let architecture = texts.find(|(name, _)| *name == network::CHAIN_TEXTS[0]);
            return architecture.and_then(|(_, text)| network.parse(text)).unwrap_or(assignment);
        }
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
        Parameter { name: name.into(), domain, when: vec![], default: None, prior: None }
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
        let all = Domain::Int { min: i64::MIN, max: i64::MAX, step: 1, distribution: Distribution::Uniform };
        assert_eq!(all.cardinality(), Some(u64::MAX), "one more does not fit");
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
    fn a_point_of_another_space_is_taken_over_where_it_lies_in_this_one() {
        let layers = Parameter {
            default: Some(Value::Int(2)),
            ..parameter(
                "layers",
                Domain::Int { min: 1, max: 4, step: 1, distribution: Distribution::Uniform },
            )
        };
        let space = Space::new(vec![parameter("lr", float(0.0, 0.5, None)), layers], vec![]).unwrap();
        let at = |texts: &[(&'static str, &'static str)]| space.project(texts.iter().copied());
        let point = |lr, layers| Some(Assignment(vec![Some(Value::Float(lr)), Some(Value::Int(layers))]));
        assert_eq!(at(&[("gone", "1"), ("lr", "0.25")]), point(0.25, 2));
        assert_eq!(at(&[("layers", "3"), ("lr", "0.25")]), point(0.25, 3));
        // Outside of its bounds, and without a value or default.
        assert_eq!((at(&[("lr", "0.75")]), at(&[("layers", "3")])), (None, None));
        // What is active follows from the point, not from what the texts held.
        let adam = optimizers().project([("opt", "adam"), ("momentum", "0.9")]).unwrap();
        assert_eq!(adam.get(0), None);
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
