//! Problems whose points take more or less, each by a factor of 10 or more.

use std::f64::consts::PI;

use study::{Assignment, Distribution, Domain, Parameter, Space, Value};

use super::table::Table;

/// The table among them: what a whole trial takes is what its trees are built of, the depth times the shares of rows and
/// of features.
const TABLE: &str = "boosting-diabetes";

/// A function on the unit cube.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    dims: usize,
    cost: fn(&[f64]) -> f64,
    expense: fn(&[f64]) -> f64,
    lowest: f64,
}

const FUNCTIONS: [Function; 5] = [
    Function {
        name: "branin-right",
        dims: 2,
        cost: branin,
        expense: |x| 20.0_f64.powf(x[0]),
        lowest: 0.397_887,
    },
    Function {
        name: "branin-left",
        dims: 2,
        cost: branin,
        expense: |x| 20.0_f64.powf(1.0 - x[0]),
        lowest: 0.397_887,
    },
    Function {
        name: "hartmann",
        dims: 3,
        cost: hartmann,
        expense: |x| 20.0_f64.powf(x[1]),
        lowest: -3.862_78,
    },
    // The best is among the dearest.
    Function { name: "dear-bowl", dims: 3, cost: bowl, expense: |x| 30.0_f64.powf(x[0]), lowest: 0.0 },
    Function { name: "valley", dims: 4, cost: valley, expense: |x| 1.0 + 25.0 * x[3] * x[3], lowest: 0.0 },
];

/// Their names.
pub(super) fn names() -> Vec<&'static str> {
    FUNCTIONS.iter().map(|function| function.name).chain([TABLE]).collect()
}

type Figure = Box<dyn Fn(&Assignment) -> f64>;

/// What is searched.
pub(super) struct Problem {
    pub(super) name: &'static str,
    pub(super) space: Space,
    pub(super) cost: Figure,
    /// What a trial takes, above 0.
    pub(super) expense: Figure,
    /// Of a cost: of functions the logarithm to the base of 10 of what it lies above the lowest, of the table 0 at the best
    /// and 1 at the median.
    pub(super) regret: Box<dyn Fn(f64) -> f64>,
}

/// All there are.
///
/// # Errors
/// If the table cannot be read.
pub(super) fn problems() -> Result<Vec<Problem>, String> {
    let mut problems: Vec<Problem> = FUNCTIONS.into_iter().map(Problem::of_function).collect();
    let table = Table::all()?.into_iter().find(|table| table.name == TABLE);
    problems.push(Problem::of_table(table.ok_or_else(|| format!("there is no table {TABLE}"))?));
    Ok(problems)
}

impl Problem {
    fn of_function(function: Function) -> Self {
        let Function { name, dims, cost, expense, lowest } = function;
        let unit = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        let parameters = (0..dims).map(|i| Parameter {
            name: format!("x{i}"),
            domain: unit.clone(),
            when: vec![],
            default: None,
            prior: None,
        });
        Self {
            name,
            space: Space::new(parameters.collect(), vec![]).unwrap_or_else(|errors| panic!("{errors:?}")),
            cost: Box::new(move |assignment| cost(&numbers(assignment))),
            expense: Box::new(move |assignment| expense(&numbers(assignment))),
            regret: Box::new(move |cost| (cost - lowest).max(1e-6).log10()),
        }
    }

    fn of_table(table: Table) -> Self {
        let space = table.space.clone();
        let table = std::rc::Rc::new(table);
        let (curves, values) = (table.clone(), table.clone());
        Self {
            name: TABLE,
            space,
            cost: Box::new(move |assignment| curves.curve(assignment)[curves.steps - 1]),
            expense: Box::new(move |assignment| {
                ["depth", "subsample", "features"]
                    .map(|name| value(&values.space, assignment, name))
                    .iter()
                    .product()
            }),
            regret: Box::new(move |cost| table.regret(cost)),
        }
    }
}

/// The value of a parameter that is a list of numbers.
fn value(space: &Space, assignment: &Assignment, name: &str) -> f64 {
    let i = space.parameters().iter().position(|parameter| parameter.name == name);
    let domain = i.map(|i| (&space.parameters()[i].domain, assignment.get(i)));
    match domain {
        Some((Domain::Discrete { values, .. }, Some(Value::Choice(choice)))) => values[choice],
        other => panic!("{name} is {other:?}, which is none of a list of numbers"),
    }
}

fn numbers(assignment: &Assignment) -> Vec<f64> {
    let number = |value: &Option<Value>| match value {
        Some(Value::Float(x)) => *x,
        other => panic!("{other:?} is no number"),
    };
    assignment.0.iter().map(number).collect()
}

fn branin(x: &[f64]) -> f64 {
    let (x, y) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
    let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

/// Dixon and Szego 1978: four peaks in three dimensions.
fn hartmann(x: &[f64]) -> f64 {
    const PEAKS: [(f64, [f64; 3], [f64; 3]); 4] = [
        (1.0, [3.0, 10.0, 30.0], [0.3689, 0.117, 0.2673]),
        (1.2, [0.1, 10.0, 35.0], [0.4699, 0.4387, 0.747]),
        (3.0, [3.0, 10.0, 30.0], [0.1091, 0.8732, 0.5547]),
        (3.2, [0.1, 10.0, 35.0], [0.0381, 0.5743, 0.8828]),
    ];
    let peaks = PEAKS.iter().map(|(height, widths, at)| {
        let away: f64 = (0..3).map(|i| widths[i] * (x[i] - at[i]).powi(2)).sum();
        height * (-away).exp()
    });
    -peaks.sum::<f64>()
}

fn bowl(x: &[f64]) -> f64 {
    [0.8_f64, 0.3, 0.6].iter().zip(x).map(|(at, x)| (x - at).powi(2)).sum()
}

/// Rosenbrock's, from -2 to 2.
fn valley(x: &[f64]) -> f64 {
    let x: Vec<f64> = x.iter().map(|x| 4.0 * x - 2.0).collect();
    x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}
