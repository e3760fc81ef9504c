//! What may change of an experiment that exists.

use serde_json::Value;

use crate::ports::Wish;
use crate::report::Problem;
use crate::spec::ExperimentSpec;

/// How a new spec differs from the one that exists.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// Not at all.
    None,
    /// Only in budgets: a wish carries it out.
    Budgets(Wish),
    /// In more: one line for each difference.
    More(Vec<String>),
}

/// The words that may be edited.
const EDITABLE: [&str; 7] = [
    "parallelTrialCount",
    "maxTrialCount",
    "maxFailedTrialCount",
    "maxDuration",
    "maxGpuHours",
    "maxCost",
    "suspend",
];

/// Compares a new spec, defaulted, with the one that exists. A seed that the new one leaves out is the old one's.
pub fn changes(old: &ExperimentSpec, new: &ExperimentSpec) -> Changes {
    let mut new = new.clone();
    new.seed = new.seed.or(old.seed);
    if *old == new {
        return Changes::None;
    }
    let fixed = |spec: &ExperimentSpec| {
        let mut value = serde_json::to_value(spec).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| !EDITABLE.contains(&key.as_str()));
        }
        value
    };
    let mut differences = Vec::new();
    compare(&fixed(old), &fixed(&new), "spec", &mut differences);
    if !differences.is_empty() {
        return Changes::More(differences);
    }
    Changes::Budgets(Wish::Edit {
        max_trial_count: new.max_trial_count,
        parallel_trial_count: new.parallel_trial_count,
        max_failed_trial_count: new.max_failed_trial_count,
        max_duration: new.max_duration,
        max_gpu_hours: new.max_gpu_hours,
        max_cost: new.max_cost,
    })
}

/// A spec as a wish changes it. What the wish leaves unset stays, and so does everything where it is about no spec.
#[must_use]
pub fn edited(spec: &ExperimentSpec, wish: &Wish) -> ExperimentSpec {
    let mut spec = spec.clone();
    match wish.clone() {
        Wish::Edit {
            max_trial_count,
            parallel_trial_count,
            max_failed_trial_count,
            max_duration,
            max_gpu_hours,
            max_cost,
        } => {
            spec.max_trial_count = max_trial_count.or(spec.max_trial_count);
            spec.parallel_trial_count = parallel_trial_count.or(spec.parallel_trial_count);
            spec.max_failed_trial_count = max_failed_trial_count.or(spec.max_failed_trial_count);
            spec.max_duration = max_duration.or(spec.max_duration);
            spec.max_gpu_hours = max_gpu_hours.or(spec.max_gpu_hours);
            spec.max_cost = max_cost.or(spec.max_cost);
        }
        Wish::Lift { budgets } => budgets.iter().for_each(|word| lift(&mut spec, word)),
        Wish::EditSpace { parameters, parameter_constraints, queued_points, trial_template } => {
            spec.parameters = parameters;
            spec.parameter_constraints = parameter_constraints;
            spec.queued_points = queued_points;
            spec.trial_template = trial_template.or(spec.trial_template);
        }
        _ => {}
    }
    spec
}

fn lift(spec: &mut ExperimentSpec, word: &str) {
    match word {
        "maxTrialCount" => spec.max_trial_count = None,
        "maxFailedTrialCount" => spec.max_failed_trial_count = None,
        "maxDuration" => spec.max_duration = None,
        "maxGpuHours" => spec.max_gpu_hours = None,
        "maxCost" => spec.max_cost = None,
        _ => {}
    }
}

/// The words that an edit of the space may change.
const OF_THE_SPACE: [&str; 4] = ["parameters", "parameterConstraints", "trialTemplate", "queuedPoints"];

/// What an edit of the space changes, each in a few words.
pub fn space_changes(old: &ExperimentSpec, new: &ExperimentSpec) -> Vec<String> {
    let find = |spec: &ExperimentSpec, name: &str| spec.parameters.iter().find(|p| p.name == name).cloned();
    let gone = old.parameters.iter().filter(|p| find(new, &p.name).is_none());
    let mut changes: Vec<String> = gone.map(|p| format!("`{}` was removed", p.name)).collect();
    changes.extend(new.parameters.iter().filter_map(|parameter| match find(old, &parameter.name) {
        None => Some(format!("`{}` was added", parameter.name)),
        Some(old) if old != *parameter => Some(format!("`{}` was changed", parameter.name)),
        Some(_) => None,
    }));
    if old.parameter_constraints != new.parameter_constraints {
        changes.push("constraints were changed".into());
    }
    changes
}

/// The wish that carries out an edit of the space, from what the Experiment is to be; both specs defaulted. Budgets
/// are passed over: they have a wish of their own.
///
/// # Errors
/// What cannot be edited, and new parameters without a value for the trials that had none.
pub fn space_edit(old: &ExperimentSpec, new: &ExperimentSpec) -> Result<Wish, Vec<Problem>> {
    let mut new = new.clone();
    new.seed = new.seed.or(old.seed);
    let fixed = |spec: &ExperimentSpec| {
        let mut value = serde_json::to_value(spec).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| !EDITABLE.contains(&key.as_str()) && !OF_THE_SPACE.contains(&key.as_str()));
        }
        value
    };
    let mut differences = Vec::new();
    compare(&fixed(old), &fixed(&new), "spec", &mut differences);
    let known = |name: &str| old.parameters.iter().any(|parameter| parameter.name == name);
    let come = || new.parameters.iter().enumerate().filter(|(_, parameter)| !known(&parameter.name));
    let gone = old.parameters.iter().any(|old| new.parameters.iter().all(|new| new.name != old.name));
    let template = (come().next().is_some() || gone).then(|| new.trial_template.clone()).flatten();
    if template.is_none() && old.trial_template != new.trial_template {
        differences.push("spec.trialTemplate: it may change only where parameters come or go".into());
    }
    let mut problems: Vec<Problem> = differences
        .iter()
        .map(|line| {
            let (path, what) = line.split_once(": ").unwrap_or(("spec", line));
            Problem::new(path, what)
                .hint("only the search space can be edited; another experiment needs another name")
        })
        .collect();
    problems.extend(come().filter(|(_, parameter)| parameter.default_value.is_none()).map(
        |(i, parameter)| {
            let message = format!("`{}` is new and has no default", parameter.name);
            let hint = "set its default to the value that the trials so far have had";
            Problem::new(format!("spec.parameters[{i}].default"), message).hint(hint)
        },
    ));
    if problems.is_empty() && space_changes(old, &new).is_empty() {
        problems.push(Problem::new("spec.parameters", "this is the space it has; nothing to change"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Wish::EditSpace {
        parameters: new.parameters,
        parameter_constraints: new.parameter_constraints,
        queued_points: new.queued_points,
        trial_template: template,
    })
}

fn compare(old: &Value, new: &Value, path: &str, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> =
                a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
            keys.sort();
            for key in keys {
                let (old, new) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                compare(old, new, &format!("{path}.{key}"), differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (old, new)) in a.iter().zip(b).enumerate() {
                compare(old, new, &format!("{path}[{i}]"), differences);
            }
        }
        _ if old == new => {}
        _ => differences.push(format!("{path}: {old} became {new}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(change: impl FnOnce(&mut Value)) -> ExperimentSpec {
        let mut spec = json!({
            "parameters": [
                {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}},
                {"name": "opt", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd"]}},
            ],
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "trialTemplate": {"trialSpec": {"kind": "Process"}},
        });
        change(&mut spec);
        serde_json::from_value(spec).unwrap()
    }

    fn edit(change: impl FnOnce(&mut Value)) -> Result<Wish, Vec<(String, String)>> {
        let told = |problem: &Problem| (problem.path.clone(), problem.message.clone());
        space_edit(&spec(|_| {}), &spec(change)).map_err(|problems| problems.iter().map(told).collect())
    }

    #[test]
    fn bounds_lists_and_parameters_may_change() {
        assert!(edit(|spec| spec["parameters"][0]["feasibleSpace"]["max"] = json!("9")).is_ok());
        assert!(edit(|spec| spec["parameters"][1]["feasibleSpace"]["list"] = json!(["sgd", "adam"])).is_ok());
        assert!(edit(|spec| spec["parameterConstraints"] = json!(["lr < 0.5"])).is_ok());
        let gone = edit(|spec| {
            spec["parameters"].as_array_mut().unwrap().pop();
            spec["trialTemplate"]["retain"] = json!(true);
        });
        assert!(
            matches!(gone, Ok(Wish::EditSpace { trial_template: Some(template), .. }) if template.retain)
        );
    }

    #[test]
    fn a_new_parameter_needs_the_value_that_trials_so_far_have_had() {
        let added = |default: Value| {
            edit(move |spec| {
                let space = json!({"min": "1", "max": "4"});
                let layers = json!({"name": "layers", "parameterType": "int", "feasibleSpace": space, "default": default});
                spec["parameters"].as_array_mut().unwrap().push(layers);
            })
        };
        assert!(added(json!("2")).is_ok());
        let message = "`layers` is new and has no default".to_owned();
        assert_eq!(added(Value::Null), Err(vec![("spec.parameters[2].default".into(), message)]));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let refused = |change: fn(&mut Value)| edit(change).unwrap_err().remove(0).0;
        assert_eq!(refused(|_| {}), "spec.parameters");
        assert_eq!(refused(|spec| spec["maxTrialCount"] = json!(9)), "spec.parameters");
        assert_eq!(
            refused(|spec| spec["objective"]["objectiveMetricName"] = json!("other")),
            "spec.objective.objectiveMetricName"
        );
        assert_eq!(refused(|spec| spec["trialTemplate"]["retain"] = json!(true)), "spec.trialTemplate");
    }

    #[test]
    fn budgets_are_changed_taken_away_and_left_as_they_are() {
        let old = spec(|spec| {
            spec["maxTrialCount"] = json!(9);
            spec["maxDuration"] = json!("1h");
            spec["maxCost"] = json!(2.5);
        });
        let new = spec(|spec| {
            spec["maxTrialCount"] = json!(12);
            spec["maxDuration"] = json!("1h");
            spec["maxCost"] = json!(2.5);
        });
        let Changes::Budgets(edit) = changes(&old, &new) else { panic!("only a budget differs") };
        assert_eq!(edited(&old, &edit), new);
        let budgets = ["maxTrialCount", "maxDuration", "maxCost"].map(str::to_owned).to_vec();
        assert_eq!(edited(&new, &Wish::Lift { budgets }), spec(|_| {}));
        assert_eq!(edited(&new, &Wish::Resume), new);
    }

    #[test]
    fn an_edit_says_what_it_changes() {
        let new = spec(|spec| {
            spec["parameters"][0]["feasibleSpace"]["max"] = json!("2");
            spec["parameters"][1]["name"] = json!("optimizer");
            spec["parameterConstraints"] = json!(["lr < 1"]);
        });
        let changes = space_changes(&spec(|_| {}), &new);
        let wanted =
            ["`opt` was removed", "`lr` was changed", "`optimizer` was added", "constraints were changed"];
        assert_eq!(changes, wanted);
    }
}
