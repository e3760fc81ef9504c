//! Curves of weights as SVG: a small chart for each edge, all of one scale.

use super::svg::{Part, escaped};
use super::weights::OperationWeights;

/// Charts beside each other.
const PER_ROW: usize = 3;
const WIDTH: i64 = 220;
const HEIGHT: i64 = 80;
const GAP: i64 = 30;
const LINE: i64 = 16;
const COLOURS: [&str; 10] = [
    "#4269d0", "#d07f1a", "#d4493f", "#3a9a8d", "#3ca951", "#c2578f", "#8f5fd0", "#5b95d6", "#855a3c", "#777",
];

/// Charts below `top`.
pub(super) fn draw(weights: &OperationWeights, left: i64, top: i64) -> Part {
    let mut text = format!(
        "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">{}</text>\n",
        top + LINE,
        weights.heading()
    );
    for (k, operation) in weights.operations.iter().enumerate() {
        let (x, y) = (left, top + (k as i64 + 2) * LINE);
        text.push_str(&format!(
            "<line x1=\"{x}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"3\"/>\n<text x=\"{}\" \
             y=\"{y}\">{}</text>\n",
            y - 4,
            x + 20,
            y - 4,
            colour(k),
            x + 28,
            escaped(operation)
        ));
    }
    let charts = top + (weights.operations.len() as i64 + 3) * LINE;
    for (i, (edge, epochs)) in weights.edges.iter().enumerate() {
        let (column, row) = ((i % PER_ROW) as i64, (i / PER_ROW) as i64);
        let (x, y) = (left + column * (WIDTH + GAP), charts + row * (HEIGHT + GAP));
        text.push_str(&chart(edge, epochs, weights.most(), x, y));
    }
    let rows = weights.edges.len().div_ceil(PER_ROW) as i64;
    let right = left + PER_ROW.min(weights.edges.len()) as i64 * (WIDTH + GAP);
    (text, right, charts + rows * (HEIGHT + GAP) - top)
}

fn chart(edge: &str, epochs: &[Vec<f64>], most: f64, left: i64, top: i64) -> String {
    let mut text = format!(
        "<text x=\"{left}\" y=\"{}\">{}, to {most:.2}</text>\n<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" fill=\"none\" stroke=\"#ccd\"/>\n",
        top - 4,
        escaped(edge)
    );
    let last = epochs.len().saturating_sub(1).max(1) as f64;
    let place = |epoch: usize, weight: f64| {
        let (x, y) = (epoch as f64 / last * WIDTH as f64, (1.0 - weight / most) * HEIGHT as f64);
        format!("{:.1},{:.1}", left as f64 + x, top as f64 + y)
    };
    for k in 0..epochs.first().map_or(0, Vec::len) {
        let mut points: Vec<String> = epochs.iter().enumerate().map(|(i, all)| place(i, all[k])).collect();
        // One epoch is a level.
        if let [only] = &epochs {
            points.push(place(1, only[k]));
        }
        text.push_str(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n",
            points.join(" "),
            colour(k)
        ));
    }
    text
}

fn colour(operation: usize) -> &'static str {
    COLOURS[operation % COLOURS.len()]
}
