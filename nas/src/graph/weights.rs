//! What the operations of a supernet weigh, epoch by epoch, as a trial reports it.

use serde_json::{Value, json};

/// Columns of a curve in a line of text.
const COLUMNS: usize = 32;
/// Heights of a curve in a line of text.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Weights of all operations on each edge of a supernet, over the epochs of its search.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationWeights {
    /// Names of the operations.
    pub operations: Vec<String>,
    /// Edges by name, such as `normal 0-2`; of each for every epoch the weights, in the order of the operations. Finite.
    pub edges: Vec<(String, Vec<Vec<f64>>)>,
    /// How many epochs are left out as a weight of theirs is no finite number, as where a search has diverged.
    pub n_diverged: usize,
}

impl OperationWeights {
    /// Reads texts `{"operations": ["a", ...], "edges": {"0-1": [0.5, ...], ...}}`, one an epoch. `None` if the first is none
    /// such; the others that are none, or are of another supernet, are passed over. Weights may be NaN and infinities as Python
    /// writes them: such epochs are counted and left out.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut texts = texts.into_iter();
        let mut all = Self::of_epoch(texts.next()?)?;
        for next in texts.filter_map(Self::of_epoch) {
            let same = all.edges.iter().map(|(name, _)| name).eq(next.edges.iter().map(|(name, _)| name));
            if same && all.operations == next.operations {
                all.edges.iter_mut().zip(next.edges).for_each(|((_, epochs), (_, its))| epochs.extend(its));
                all.n_diverged += next.n_diverged;
            }
        }
        Some(all)
    }

    fn of_epoch(text: &str) -> Option<Self> {
        // Most texts are no objects, which is soon seen.
        let text = text.trim_start().strip_prefix('{').and(Some(text))?;
        let read: Value =
            serde_json::from_str(text).or_else(|_| serde_json::from_str(&numbers_only(text))).ok()?;
        let operations: Vec<String> = serde_json::from_value(read["operations"].clone()).ok()?;
        let edge = |(name, weights): (&String, &Value)| {
            let weights: Vec<Option<f64>> = serde_json::from_value(weights.clone()).ok()?;
            (weights.len() == operations.len()).then(|| (name.clone(), weights))
        };
        let edges: Vec<_> = read["edges"].as_object()?.iter().map(edge).collect::<Option<_>>()?;
        if operations.is_empty() || edges.is_empty() {
            return None;
        }
        let has_diverged = edges.iter().any(|(_, weights)| weights.iter().any(Option::is_none));
        let epochs = |weights: Vec<Option<f64>>| {
            if has_diverged { Vec::new() } else { vec![weights.into_iter().flatten().collect()] }
        };
        let edges = edges.into_iter().map(|(name, weights)| (name, epochs(weights))).collect();
        Some(Self { operations, edges, n_diverged: usize::from(has_diverged) })
    }

    /// How many epochs there are, and how many are left out, for people.
    pub(super) fn heading(&self) -> String {
        let diverged = match self.n_diverged {
            0 => String::new(),
            n => format!(", {n} left out: a weight is no finite number"),
        };
        format!("operation weights, {} epochs{diverged}", self.n_epochs())
    }

    /// How many epochs there are, those left out not counted.
    pub fn n_epochs(&self) -> usize {
        self.edges.first().map_or(0, |(_, epochs)| epochs.len())
    }

    /// The largest weight of all.
    pub(super) fn most(&self) -> f64 {
        let all = self.edges.iter().flat_map(|(_, epochs)| epochs).flatten();
        all.copied().fold(f64::MIN_POSITIVE, f64::max)
    }

    /// A line for each operation of each edge: its weight at first, a curve, and its weight at last.
    pub fn to_text(&self) -> String {
        let width = self.operations.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let (n, most) = (self.n_epochs(), self.most());
        let columns: Vec<usize> = match n {
            0..=COLUMNS => (0..n).collect(),
            _ => (0..COLUMNS).map(|column| column * (n - 1) / (COLUMNS - 1)).collect(),
        };
        if n == 0 {
            return format!("{}\n", self.heading());
        }
        let mut text = format!("{}, from 0 to {most:.2}\n", self.heading());
        for (edge, epochs) in &self.edges {
            text.push_str(&format!("  {edge}\n"));
            for (k, operation) in self.operations.iter().enumerate() {
                let height = |epoch: &usize| {
                    let share = (epochs[*epoch][k] / most).clamp(0.0, 1.0);
                    HEIGHTS[(share * (HEIGHTS.len() - 1) as f64).round() as usize]
                };
                let curve: String = columns.iter().map(height).collect();
                let (first, last) = (epochs[0][k], epochs[n - 1][k]);
                text.push_str(&format!("    {operation:<width$}  {first:.3} {curve} {last:.3}\n"));
            }
        }
        text
    }

    /// `{operations, edges: [{edge, weights}]}` with the weights of each epoch as a list, and `diverged`, how many are left out,
    /// where any are.
    pub fn to_json(&self) -> Value {
        let edge = |(edge, weights): &(String, Vec<Vec<f64>>)| json!({"edge": edge, "weights": weights});
        let mut all =
            json!({"operations": self.operations, "edges": self.edges.iter().map(edge).collect::<Vec<_>>()});
        if self.n_diverged > 0 {
            all["diverged"] = self.n_diverged.into();
        }
        all
    }
}

/// JSON with null for the numbers that only Python writes.
fn numbers_only(text: &str) -> String {
    text.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn two_epochs() -> OperationWeights {
        let epoch = |skip: f64| {
            let rest = 1.0 - skip;
            format!(r#"{{"operations": ["skip", "sep<3>"], "edges": {{"normal 0-2": [{skip}, {rest}]}}}}"#)
        };
        OperationWeights::read([epoch(0.5).as_str(), "0.93", epoch(0.0).as_str()]).unwrap()
    }

    #[test]
    fn epochs_follow_each_other_and_what_is_no_epoch_is_passed_over() {
        let weights = two_epochs();
        assert_eq!(weights.n_epochs(), 2);
        assert_eq!(weights.to_json()["edges"][0]["weights"], json!([[0.5, 0.5], [0.0, 1.0]]));
        assert_eq!(
            weights.to_text(),
            "operation weights, 2 epochs, from 0 to 1.00\n  normal 0-2\n    skip    0.500 ▅▁ 0.000\n    sep<3>  \
             0.500 ▅█ 1.000\n"
        );
    }

    #[test]
    fn texts_that_are_no_weights_are_none() {
        let uneven = r#"{"operations": ["a", "b"], "edges": {"0-1": [1.0]}}"#;
        for text in ["Genotype(normal=[])", "{}", "{", uneven, r#"{"operations": [], "edges": {}}"#] {
            assert_eq!(OperationWeights::read([text]), None, "{text}");
        }
    }

    #[test]
    fn epochs_that_have_diverged_are_left_out_and_counted() {
        let epoch = |weight: &str| format!(r#"{{"operations": ["a"], "edges": {{"0-1": [{weight}]}}}}"#);
        let read = |all: &[&str]| {
            let epochs: Vec<String> = all.iter().map(|weight| epoch(weight)).collect();
            OperationWeights::read(epochs.iter().map(String::as_str)).unwrap()
        };
        let weights = read(&["0.5", "NaN", "1.0", "-Infinity"]);
        assert_eq!((weights.n_epochs(), weights.n_diverged), (2, 2));
        assert!(weights.to_text().starts_with(
            "operation weights, 2 epochs, 2 left out: a weight is no finite number, from 0 to 1.00\n"
        ));
        assert_eq!(weights.to_json()["diverged"], 2);
        // Nothing is left to be drawn.
        let none = read(&["Infinity", "NaN"]);
        assert_eq!(none.to_text(), "operation weights, 0 epochs, 2 left out: a weight is no finite number\n");
        assert!(
            super::super::Graph::to_svg(&[], Some(&none))
                .contains(">operation weights, 0 epochs, 2 left out")
        );
        assert_eq!(OperationWeights::read([epoch("1e999").as_str()]), None, "no JSON at all");
    }

    #[test]
    fn a_long_search_has_a_short_curve() {
        let epoch =
            |i: i32| format!(r#"{{"operations": ["a"], "edges": {{"0-1": [{}]}}}}"#, f64::from(i) / 99.0);
        let epochs: Vec<String> = (0..100).map(epoch).collect();
        let text = OperationWeights::read(epochs.iter().map(String::as_str)).unwrap().to_text();
        let line = text.lines().last().unwrap();
        assert!(line.starts_with("    a  0.000 ▁") && line.ends_with("█ 1.000"), "{line}");
        assert_eq!(line.chars().filter(|c| HEIGHTS.contains(c)).count(), COLUMNS);
    }
}
