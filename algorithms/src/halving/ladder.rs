//! The resource and its levels, from the settings.

use study::{Assignment, Domain, Study, Value};

use crate::settings::{Reader, SettingsError};

/// A level of the resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) fidelity: f64,
    /// What is written into the parameter.
    pub(super) value: Value,
}

/// The resource, from its least level to its whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ladder {
    /// Position of the parameter that gets it.
    pub(super) parameter: usize,
    /// Rising, at least one.
    pub(super) levels: Vec<Level>,
    /// Of how many trials one goes on.
    pub(super) eta: usize,
}

impl Ladder {
    /// Reads `r_l` (the whole resource), `resource_name` and `eta`. The levels are `r_l eta^-s` down to 1, rounded down.
    pub(super) fn read(study: &Study) -> Result<Self, SettingsError> {
        let unsuited =
            |problem: String| SettingsError::Unsuited { algorithm: study.algorithm.name.clone(), problem };
        let mut reader = Reader::new(&study.algorithm);
        let whole = reader.optional("r_l", "a number of at least 1", |r: &f64| *r >= 1.0 && *r < 1e15)?;
        let name = reader.optional("resource_name", "the name of a parameter", |_: &String| true)?;
        let eta = reader.get("eta", 3.0, "a number of at least 2; 0 or less for 3", |eta: &f64| {
            *eta <= 0.0 || (2.0..1e6).contains(eta)
        })?;
        reader.finish()?;
        let (whole, name) = match (whole, name) {
            (Some(whole), Some(name)) => (whole, name),
            (None, Some(_)) => {
                return Err(unsuited("it needs the setting r_l, the most of its resource".into()));
            }
            (Some(_), None) => {
                return Err(unsuited(
                    "it needs the setting resource_name, the parameter to give more of".into(),
                ));
            }
            (None, None) => return Err(unsuited("it needs the settings r_l and resource_name".into())),
        };
        let name = name.trim();
        let Some(parameter) = study.space.position(name) else {
            return Err(unsuited(format!("its resource_name `{name}` is no parameter")));
        };
        let parameters = study.space.parameters();
        let is_parent = |condition: &study::Condition| condition.parent == name;
        let has_children = parameters.iter().any(|other| other.when.iter().any(is_parent));
        if has_children || !parameters[parameter].when.is_empty() {
            return Err(unsuited(format!("its resource `{name}` may be no part of conditions")));
        }
        let eta = if eta <= 0.0 { 3 } else { eta as usize };
        let levels = levels(&parameters[parameter].domain, whole, eta)
            .ok_or_else(|| unsuited(format!("its resource `{name}` must be a number, not a name")))?;
        Ok(Self { parameter, levels, eta })
    }

    /// The assignment at a level.
    pub(super) fn at(&self, level: usize, mut assignment: Assignment) -> Assignment {
        assignment.0[self.parameter] = Some(self.levels[level].value);
        assignment
    }

    /// The level of an assignment, if it has one.
    pub(super) fn level(&self, assignment: &Assignment) -> Option<usize> {
        let value = assignment.get(self.parameter)?;
        self.levels.iter().position(|level| level.value == value)
    }
}

/// Levels that differ in what is written; `None` for a list of names.
fn levels(domain: &Domain, whole: f64, eta: usize) -> Option<Vec<Level>> {
    let mut levels = Vec::<Level>::new();
    let mut resource = whole;
    while resource >= 1.0 - 1e-9 {
        let fidelity = (resource + 1e-9).floor();
        let value = match domain {
            Domain::Int { .. } => Value::Int(fidelity as i64),
            Domain::Float { .. } => Value::Float(fidelity),
            Domain::Discrete { values, .. } => {
                Value::Choice(values.iter().rposition(|value| *value <= fidelity).unwrap_or(0))
            }
            Domain::Categorical { .. } => return None,
        };
        if levels.last().is_none_or(|last| last.value != value) {
            levels.push(Level { fidelity: domain.number(value).unwrap_or(fidelity), value });
        }
        resource /= eta as f64;
    }
    levels.reverse();
    Some(levels)
}

#[cfg(test)]
mod tests {
    use study::Distribution;

    use super::*;

    fn fidelities(domain: &Domain, whole: f64, eta: usize) -> Vec<f64> {
        levels(domain, whole, eta).unwrap().iter().map(|level| level.fidelity).collect()
    }

    #[test]
    fn levels_fall_by_eta_down_to_one() {
        let int = Domain::Int { min: 1, max: 100, step: 1, distribution: Distribution::Uniform };
        assert_eq!(fidelities(&int, 81.0, 3), [1.0, 3.0, 9.0, 27.0, 81.0]);
        assert_eq!(fidelities(&int, 10.0, 3), [1.0, 3.0, 10.0]);
        assert_eq!(fidelities(&int, 1.0, 3), [1.0]);
    }

    #[test]
    fn a_list_of_numbers_holds_the_levels_that_it_can() {
        let texts = ["2", "5", "50"].map(String::from).to_vec();
        let discrete = Domain::Discrete { texts, values: vec![2.0, 5.0, 50.0] };
        assert_eq!(fidelities(&discrete, 81.0, 3), [2.0, 5.0, 50.0]);
    }
}
