//! Graphs as SVG: nodes in columns by how many edges lead to them at most, edges as curves.

use super::{Graph, Node, OperationWeights, charts};

/// Width of a node; between columns there is as much again for operations.
const WIDTH: i64 = 130;
const GAP: i64 = 150;
/// Height of a line of text, and between nodes of a column.
const LINE: i64 = 16;
const SPACE: i64 = 30;
/// How far an edge that passes columns bends aside, for each of them.
const BEND: i64 = 46;
const MARGIN: i64 = 20;

/// Where a node lies: its left edge, its middle, and its height.
struct Place {
    left: i64,
    middle: i64,
    height: i64,
}

/// A part of a picture: its elements, its right edge and its height.
pub(super) type Part = (String, i64, i64);

/// Parts below each other.
struct Picture {
    body: String,
    top: i64,
    width: i64,
}

impl Picture {
    fn add(&mut self, (body, right, height): Part) {
        self.body.push_str(&body);
        self.top += height + MARGIN;
        self.width = self.width.max(right + MARGIN);
    }
}

/// One picture of all graphs, and of what the operations weighed below them.
pub(super) fn draw(graphs: &[Graph], weights: Option<&OperationWeights>) -> String {
    let mut picture = Picture { body: String::new(), top: MARGIN, width: 0 };
    graphs.iter().for_each(|graph| picture.add(one(graph, picture.top)));
    if let Some(weights) = weights {
        picture.add(charts::draw(weights, MARGIN, picture.top));
    }
    let Picture { body, top, width } = picture;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" viewBox=\"0 0 {width} {top}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" \
         refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><polygon points=\"0,0 8,4 0,8\" \
         fill=\"#667\"/></marker></defs>\n{body}</svg>\n"
    )
}

/// A graph below `top`.
fn one(graph: &Graph, top: i64) -> Part {
    let bends = bends(graph);
    let above = bends.iter().copied().filter(|bend| *bend < 0).min().unwrap_or(0).abs() / 2;
    let below = bends.iter().copied().max().unwrap_or(0).max(0) / 2;
    let title = 2 * LINE;
    let (places, height) = places(graph, top + title + above);
    let mut text = format!(
        "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>\n",
        top + LINE,
        escaped(&graph.name)
    );
    for (edge, bend) in graph.edges.iter().zip(&bends) {
        let (from, to) = (&places[edge.from], &places[edge.to]);
        let (x1, y1, x2, y2) = (from.left + WIDTH, from.middle, to.left, to.middle);
        let (c1, c2) = (x1 + GAP / 2, x2 - GAP / 2);
        text.push_str(&format!(
            "<path d=\"M{x1},{y1} C{c1},{} {c2},{} {x2},{y2}\" fill=\"none\" stroke=\"#667\" marker-end=\"url(#arrow)\"/>\n",
            y1 + bend,
            y2 + bend,
        ));
        if !edge.operation.is_empty() {
            // A third along, where edges that cross are still apart; a little above the line.
            let along = |from: i64, near: i64, far: i64, to: i64| (8 * from + 12 * near + 6 * far + to) / 27;
            let (x, y) = (along(x1, c1, c2, x2), along(y1, y1 + bend, y2 + bend, y2) - 4);
            text.push_str(&format!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#024\" stroke=\"white\" stroke-width=\"4\" \
                 paint-order=\"stroke\">{}</text>\n",
                escaped(&edge.operation)
            ));
        }
    }
    for (node, place) in graph.nodes.iter().zip(&places) {
        text.push_str(&boxed(node, place));
    }
    let right = places.iter().map(|place| place.left + WIDTH).max().unwrap_or(0);
    (text, right, title + above + height + below)
}

fn boxed(node: &Node, place: &Place) -> String {
    let (x, y) = (place.left, place.middle - place.height / 2);
    let mut text = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{}\" rx=\"5\" fill=\"#eef\" stroke=\"#446\"/>\n",
        place.height
    );
    let lines = lines(node);
    for (i, line) in lines.iter().enumerate() {
        let y = y + (i as i64 + 1) * LINE;
        let middle = x + WIDTH / 2;
        text.push_str(&format!(
            "<text x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{}</text>\n",
            escaped(line)
        ));
    }
    text
}

fn lines(node: &Node) -> Vec<String> {
    let parameters = node.parameters.iter().map(|(name, value)| format!("{name} {value}"));
    std::iter::once(node.label.clone()).chain(parameters).collect()
}

/// Places below `top`, and the height of all columns.
fn places(graph: &Graph, top: i64) -> (Vec<Place>, i64) {
    let columns = columns(graph);
    let height = |i: usize| lines(&graph.nodes[i]).len() as i64 * LINE + LINE / 2;
    let of_column = |column: usize| -> i64 {
        let its = (0..columns.len()).filter(|i| columns[*i] == column);
        its.map(|i| height(i) + SPACE).sum::<i64>() - SPACE
    };
    let highest = (0..=columns.iter().copied().max().unwrap_or(0)).map(of_column).max().unwrap_or(0);
    let mut next: Vec<i64> = Vec::new();
    let mut places = Vec::new();
    for (i, &column) in columns.iter().enumerate() {
        while next.len() <= column {
            next.push(top + (highest - of_column(next.len())) / 2);
        }
        let (left, height) = (MARGIN + column as i64 * (WIDTH + GAP), height(i));
        places.push(Place { left, middle: next[column] + height / 2, height });
        next[column] += height + SPACE;
    }
    (places, highest)
}

/// For each node the longest way to it.
fn columns(graph: &Graph) -> Vec<usize> {
    let mut columns = vec![0; graph.nodes.len()];
    for to in 0..columns.len() {
        let before = graph.edges.iter().filter(|edge| edge.to == to).map(|edge| columns[edge.from] + 1);
        columns[to] = before.max().unwrap_or(0);
    }
    // The output stands alone at the end.
    if let Some(last) = columns.len().checked_sub(1) {
        columns[last] = columns[..last].iter().copied().max().map_or(0, |column| column + 1);
    }
    columns
}

/// How far each edge bends: not at all to the next column, else by turns up and down.
fn bends(graph: &Graph) -> Vec<i64> {
    let columns = columns(graph);
    let mut up = false;
    let bend = |(from, to): (usize, usize)| {
        let passed = (columns[to] - columns[from]).saturating_sub(1) as i64;
        if passed == 0 {
            return 0;
        }
        up = !up;
        if up { -BEND * (passed + 1) } else { BEND * (passed + 1) }
    };
    graph.edges.iter().map(|edge| (edge.from, edge.to)).map(bend).collect()
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
