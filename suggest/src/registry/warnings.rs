//! What people should hear of a study that is accepted all the same.

use algorithms::grid::Grid;
use algorithms::halving::Halving;
use study::{Study, Value};

use super::rows::Row;
use super::{Can, Feature};

/// Everything worth saying of a study's algorithm.
pub(super) fn of(row: &'static Row, study: &Study) -> Vec<String> {
    let limits = Feature::needs(study).into_iter().filter_map(|need| match row.can(need) {
        Can::Within(limit) => Some(format!("algorithm `{}`: {}: {limit}", row.name, need.plural())),
        Can::Yes | Can::No => None,
    });
    // What DARTS does not know its trials may.
    let fate = if row.name == "darts" { "it is given to the trial as it is" } else { "it is ignored" };
    let ignored = row.ignored(study);
    let ignored = ignored.map(|name| format!("algorithm `{}` has no setting `{name}`; {fate}", row.name));
    limits.chain(ignored).chain((row.warn)(&row.heard(study))).collect()
}

/// Nothing.
pub(super) fn none(_: &Study) -> Vec<String> {
    Vec::new()
}

/// A grid smaller than the budget.
pub(super) fn grid(study: &Study) -> Vec<String> {
    let size = Grid::new(study).map_or(u128::MAX, |grid| grid.size());
    let budget = study.max_trials.filter(|budget| u128::from(*budget) > size);
    let warning = |budget| {
        format!("the grid has {size} points, fewer than the {budget} trials of the budget; it ends there")
    };
    budget.map(warning).into_iter().collect()
}

/// Parts of other libraries that are not offered.
pub(super) fn gp(study: &Study) -> Vec<String> {
    let written = |name: &str| study.algorithm.settings.get(name).map(String::as_str).unwrap_or_default();
    let mut warnings = Vec::new();
    if let estimator @ ("RF" | "ET" | "GBRT") = written("base_estimator") {
        warnings.push(format!("base_estimator `{estimator}` is not offered; the Gaussian process is used"));
    }
    if let name @ ("gp_hedge" | "EIps" | "PIps") = written("acq_func") {
        let instead = if name == "PIps" { "PI" } else { "EI" };
        warnings.push(format!("acq_func `{name}` is not offered; {instead} is used"));
    }
    if let optimizer @ ("sampling" | "lbfgs") = written("acq_optimizer") {
        warnings.push(format!("acq_optimizer `{optimizer}` is not offered; Cairn's own is used"));
    }
    warnings
}

/// Edges that make no cells.
pub(super) fn architectures(study: &Study) -> Vec<String> {
    let is_edge = |name: &str| name.starts_with("edge_") || name.starts_with("inputs_");
    let wanted = study.space.parameters().iter().any(|parameter| is_edge(&parameter.name));
    let warning = "the parameters are searched as choices, not as cells, of which many compute the same: name one for each \
                   edge, edge_0_1, edge_0_2, edge_1_2 and so on, with the same list of known operations, and no others";
    let is_other = wanted && nas::CellSpace::of(&study.space).is_ok_and(|cells| cells.is_none());
    is_other.then(|| warning.to_owned()).into_iter().collect()
}

/// Fewer trials than a bracket of the study's scheduler needs.
pub(super) fn brackets(study: &Study) -> Option<String> {
    let (needed, max) = (algorithms::schedule::too_few(study)?, study.max_trials?);
    let name = &study.early_stopping.as_ref()?.name;
    Some(format!(
        "maxTrialCount is {max}, and `{name}` compares {needed} trials before one goes on; fewer are compared all the same, but \
         little is saved: use at least {needed}, or a larger r_min"
    ))
}

/// A deviation in other units than ours.
pub(super) fn cmaes(study: &Study) -> Vec<String> {
    let sigma = study.algorithm.settings.get("sigma").and_then(|text| text.trim().parse::<f64>().ok());
    let warning = |sigma| format!("sigma is a share of each parameter's range; 1 is used instead of {sigma}");
    sigma.filter(|sigma| *sigma > 1.0).map(warning).into_iter().collect()
}

/// Resources outside of their parameter, and few trials at once: brackets wait for all of a rung.
pub(super) fn hyperband(study: &Study) -> Vec<String> {
    let Ok(halving) = Halving::hyperband(study) else { return Vec::new() };
    let mut warnings = outside(study, &halving);
    let rung = halving.first_rung();
    if u64::from(study.parallel) < rung {
        warnings.push(format!(
            "Katib would want parallelTrialCount of at least {rung}; with {} at once the first bracket takes longer",
            study.parallel
        ));
    }
    warnings
}

/// Several trials of one point.
pub(super) fn darts(study: &Study) -> Vec<String> {
    let several = study.parallel > 1 || study.max_trials.is_none_or(|trials| trials > 1);
    let warning = "every trial of `darts` does the same; set maxTrialCount and parallelTrialCount to 1";
    several.then(|| warning.to_owned()).into_iter().collect()
}

/// Resources outside of their parameter; that waits for nobody.
pub(super) fn asha(study: &Study) -> Vec<String> {
    Halving::asha(study).map_or_else(|_| Vec::new(), |halving| outside(study, &halving))
}

/// Resources that the parameter's own space does not hold.
fn outside(study: &Study, halving: &Halving) -> Vec<String> {
    let (resources, parameter) = (halving.resources(), &study.space.parameters()[halving.resource()]);
    let outside: Vec<String> = resources
        .iter()
        .filter(|value: &&Value| !parameter.domain.contains(**value))
        .map(|value| parameter.domain.text(*value))
        .collect();
    if outside.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "the resource takes the values {} of `{}`, outside of its feasible space",
        outside.join(", "),
        parameter.name
    )]
}
