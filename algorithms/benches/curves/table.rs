//! Tables of learning curves, as `tests/bench/curves/tables.py` writes them.

use std::fs;
use std::path::Path;

use study::{Assignment, Domain, Parameter, Space, Value};

/// Where they lie.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/curves/tables");
/// What values are whole multiples of.
const UNIT: f64 = 1e-4;

/// Every combination of a grid's settings, trained.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) space: Space,
    /// Steps of a whole trial.
    pub(super) steps: usize,
    /// By combination, the last parameter running fastest: the cost after each step.
    curves: Vec<Vec<f64>>,
    /// The best cost of all.
    pub(super) best: f64,
    /// The median end of whole trials.
    median: f64,
}

impl Table {
    /// All there are, by name.
    pub(super) fn all() -> Result<Vec<Self>, String> {
        let folder = fs::read_dir(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))?;
        let mut paths: Vec<_> = folder.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        paths
            .iter()
            .map(|path| Self::read(path).map_err(|problem| format!("{}: {problem}", path.display())))
            .collect()
    }

    fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let (head, rows) = text.split_once("\n\n").ok_or("there is no empty line after its head")?;
        let parameters = head.lines().skip(1).map(parameter).collect::<Result<_, _>>()?;
        let space = Space::new(parameters, vec![]).map_err(|errors| format!("{errors:?}"))?;
        let curves: Vec<Vec<f64>> = rows.lines().map(curve).collect::<Result<_, _>>()?;
        let n: usize = space.parameters().iter().map(n_values).product();
        let steps = curves.first().map_or(0, Vec::len);
        if curves.len() != n || steps == 0 || curves.iter().any(|curve| curve.len() != steps) {
            return Err(format!("it should have {n} rows of the same length; make it again"));
        }
        let best = curves.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let mut ends: Vec<f64> = curves.iter().map(|curve| curve[steps - 1]).collect();
        ends.sort_by(f64::total_cmp);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, space, steps, best, median: ends[n / 2], curves })
    }

    /// The learning curve of an assignment of its space.
    pub(super) fn curve(&self, assignment: &Assignment) -> &[f64] {
        let parameters = self.space.parameters().iter().enumerate();
        let row = parameters.fold(0, |row, (i, parameter)| match assignment.get(i) {
            Some(Value::Choice(choice)) => row * n_values(parameter) + choice,
            other => panic!("{} is {other:?}, which is none of its list", parameter.name),
        });
        &self.curves[row]
    }

    /// 0 is the best cost in the table, 1 the median end of whole trials.
    pub(super) fn regret(&self, cost: f64) -> f64 {
        (cost - self.best) / (self.median - self.best)
    }
}

/// A line of the head: a name and its values.
fn parameter(line: &str) -> Result<Parameter, String> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let name = words.next().ok_or("a parameter has no name")?;
    let texts: Vec<String> = words.collect();
    let values = texts.iter().map(|text| text.parse().map_err(|_| format!("{name}: `{text}` is no number")));
    let domain = Domain::Discrete { values: values.collect::<Result<_, _>>()?, texts };
    Ok(Parameter { name, domain, when: vec![], default: None, prior: None })
}

/// A row: the first value, then differences.
fn curve(row: &str) -> Result<Vec<f64>, String> {
    let mut sum = 0;
    let steps = row.split_whitespace().map(|word| {
        sum += word.parse::<i64>().map_err(|_| format!("`{word}` is no whole number"))?;
        Ok(UNIT * sum as f64)
    });
    steps.collect()
}

fn n_values(parameter: &Parameter) -> usize {
    match &parameter.domain {
        Domain::Discrete { values, .. } => values.len(),
        other => panic!("{} is no list of numbers: {other:?}", parameter.name),
    }
}
