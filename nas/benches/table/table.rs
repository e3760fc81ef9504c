//! What every cell of NAS-Bench-201's space reaches on a small task, made by `experiment.yaml` beside this.

use std::collections::{BTreeMap, BTreeSet};

use nas::{CellSpace, Likeness, Operation, Wiring};
use study::{Assignment, Value};

/// Seeds that each class is trained with.
pub(crate) const SEEDS: usize = 2;
/// Pictures of validation and of test; accuracies are kept as how many of them are right.
const PICTURES: f64 = 512.0;
const FILE: &str = include_str!("table.txt");

/// A cell's curves: for each seed and epoch how many pictures are right, of validation and of test.
type Curves = Vec<Vec<[u32; 2]>>;

/// Curves of classes, by what their cells compute.
pub(crate) struct Table {
    pub(crate) cells: CellSpace,
    curves: BTreeMap<String, Curves>,
}

/// One cell for each class, those without pooling first: the lines of `classes.txt`.
pub(crate) fn classes(cells: &CellSpace) -> Vec<Assignment> {
    let mut known = BTreeSet::new();
    let mut all: Vec<Assignment> = cells.all().collect();
    all.retain(|point| known.insert(class(cells, point)));
    // The sort is stable.
    all.sort_by_key(|point| point.0.contains(&Some(Value::Choice(4))));
    all
}

fn class(cells: &CellSpace, point: &Assignment) -> String {
    cells.cell(point).expression(Likeness::Function)
}

impl Table {
    /// The committed table: a line a class, its six operations as digits, then two digits of base 36 a number.
    pub(crate) fn read() -> Self {
        let mut cells = CellSpace::nas_bench_201();
        let mut curves = BTreeMap::new();
        for line in FILE.lines().filter(|line| !line.starts_with('#')) {
            let (digits, numbers) = line.split_once(' ').expect("digits and numbers");
            let choice = |digit: char| Some(Value::Choice(digit.to_digit(5).expect("an operation") as usize));
            let point = Assignment(digits.chars().map(choice).collect());
            let numbers: Vec<u32> = numbers
                .as_bytes()
                .chunks_exact(2)
                .map(|two| {
                    let two = str::from_utf8(two).expect("plain text");
                    u32::from_str_radix(two, 36).expect("a number of base 36")
                })
                .collect();
            let pairs: Vec<[u32; 2]> = numbers.as_chunks().0.to_vec();
            let its = pairs.chunks_exact(pairs.len() / SEEDS).map(<[_]>::to_vec).collect();
            curves.insert(class(&cells, &point), its);
        }
        if curves.len() < classes(&cells).len() {
            // The quick version: those without pooling are its first lines.
            cells = CellSpace::new(1, 3, Wiring::Complete, Operation::NAS_BENCH_201[..4].to_vec());
            let known: BTreeSet<String> = cells.all().map(|point| class(&cells, &point)).collect();
            curves.retain(|class, _| known.contains(class));
        }
        Self { cells, curves }
    }

    /// Classes that there are.
    pub(crate) fn len(&self) -> usize {
        self.curves.len()
    }

    fn last(&self, point: &Assignment, seed: usize) -> [u32; 2] {
        let curves = self.curves.get(&class(&self.cells, point)).expect("every class is in the table");
        *curves[seed].last().expect("an epoch")
    }

    /// Error on validation after one training, as a search sees it.
    pub(crate) fn validation_error(&self, point: &Assignment, seed: usize) -> f64 {
        1.0 - f64::from(self.last(point, seed)[0]) / PICTURES
    }

    /// Mean error on the test over all trainings.
    pub(crate) fn test_error(&self, point: &Assignment) -> f64 {
        let right: u32 = (0..SEEDS).map(|seed| self.last(point, seed)[1]).sum();
        1.0 - f64::from(right) / PICTURES / SEEDS as f64
    }

    /// Accuracies at the end of all cells: of validation (0) or test (1), for a seed.
    pub(crate) fn ends(&self, what: usize, seed: usize) -> Vec<f64> {
        let all = self.cells.all().map(|point| f64::from(self.last(&point, seed)[what]) / PICTURES);
        all.collect()
    }

    /// The same, of one cell a class.
    pub(crate) fn ends_of_classes(&self, what: usize, seed: usize) -> Vec<f64> {
        let end = |curves: &Curves| curves[seed].last().map_or(0.0, |pair| f64::from(pair[what]) / PICTURES);
        self.curves.values().map(end).collect()
    }

    /// Test errors of all cells, the best first.
    pub(crate) fn ranking(&self) -> Vec<f64> {
        let mut errors: Vec<f64> = self.cells.all().map(|point| self.test_error(&point)).collect();
        errors.sort_by(f64::total_cmp);
        errors
    }

    /// The share of all cells that a cell is better than, like ones counted half.
    pub(crate) fn percentile(&self, ranking: &[f64], point: &Assignment) -> f64 {
        let error = self.test_error(point);
        let better = ranking.partition_point(|other| *other < error);
        let no_worse = ranking.partition_point(|other| *other <= error);
        100.0 * (1.0 - (better + no_worse) as f64 / 2.0 / ranking.len() as f64)
    }
}

/// The table of what `cairn export table --observations` and `cairn export table` have written.
pub(crate) fn pack(trials: &str, observations: &str) -> String {
    let cells = CellSpace::nas_bench_201();
    let classes = classes(&cells);
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
    };
    let (trials, observations) = (rows(trials), rows(observations));
    let column = |rows: &[Vec<String>], name: &str| {
        rows[0].iter().position(|known| known == name).unwrap_or_else(|| panic!("no column {name}"))
    };
    let (name, number, seed) =
        (column(&trials, "name"), column(&trials, "params.number"), column(&trials, "params.seed"));
    let which: BTreeMap<&str, (usize, usize)> = trials[1..]
        .iter()
        .map(|row| {
            (row[name].as_str(), (row[number].parse().expect("a number"), row[seed].parse().expect("a seed")))
        })
        .collect();
    let (trial, metric) = (column(&observations, "trial"), column(&observations, "metric"));
    let value = column(&observations, "value");
    // For each class and seed the curves of validation and test.
    let mut curves: BTreeMap<(usize, usize), [Vec<u32>; 2]> = BTreeMap::new();
    for row in &observations[1..] {
        let Some(key) = which.get(row[trial].as_str()) else { continue };
        let accuracy: f64 = row[value].parse().expect("an accuracy");
        let what = usize::from(row[metric] == "Test-Accuracy");
        curves.entry(*key).or_default()[what].push((accuracy * PICTURES).round() as u32);
    }
    let mut text = String::from(
        "# Operations of edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3 (none, skip, 1x1, 3x3, pooling); then for both seeds and each of\n\
         # 8 epochs how many of 512 pictures of validation and of 512 of test are right, two digits of base 36 each.\n",
    );
    for (i, point) in classes.iter().enumerate() {
        let both: Option<Vec<_>> = (1..=SEEDS).map(|seed| curves.get(&(i + 1, seed))).collect();
        let Some(both) = both else { continue };
        let digit = |value: &Option<Value>| match value {
            Some(Value::Choice(k)) => k.to_string(),
            _ => unreachable!("every edge has an operation"),
        };
        text.extend(point.0.iter().map(digit));
        text.push(' ');
        for [validation, test] in both {
            for pair in validation.iter().zip(test) {
                for n in [pair.0, pair.1] {
                    let digit = |n: u32| char::from_digit(n, 36).expect("below 36");
                    text.extend([digit(n / 36), digit(n % 36)]);
                }
            }
        }
        text.push('\n');
    }
    text
}
