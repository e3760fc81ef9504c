//! The text format of Prometheus and OpenMetrics: samples by name and labels.

/// The samples of a page that a wanted metric names: `name`, or `name{label="value"}` with labels that must be there.
/// Values as written. Lines that make no sense are passed over.
pub fn samples<'p>(page: &'p str, metric: &str) -> Vec<&'p str> {
    let (name, labels) = match metric.split_once('{') {
        Some((name, labels)) => (name, parse_labels(labels)),
        None => (metric, Vec::new()),
    };
    page.lines()
        .filter_map(sample)
        .filter(|sample| sample.name == name && labels.iter().all(|label| sample.labels.contains(label)))
        .map(|sample| sample.value)
        .collect()
}

struct Sample<'p> {
    name: &'p str,
    labels: Vec<(String, String)>,
    value: &'p str,
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => (parse_labels(inner), &inner[labels_end(inner)? + 1..]),
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?;
    (!name.is_empty()).then_some(Sample { name, labels, value })
}

/// Where the closing brace stands, quoted ones not counted.
fn labels_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(i),
            _ => {}
        }
    }
    None
}

/// `a="b",c="d"` up to the closing brace.
fn parse_labels(text: &str) -> Vec<(String, String)> {
    let text = labels_end(text).map_or(text, |end| &text[..end]);
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let Some(after) = after.trim_start().strip_prefix('"') else {
            break;
        };
        let mut value = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    end = i + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, other)) => value.push(other),
                    None => {}
                },
                other => value.push(other),
            }
        }
        labels.push((name.trim_matches([' ', ',']).to_owned(), value));
        rest = &after[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# HELP accuracy of the model
# TYPE accuracy gauge
accuracy 0.5 1700000000000
loss{phase=\"train\",note=\"a\\\"}b\"} 1.5
loss{phase=\"test\"} NaN
accuracy_total 7
";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        assert_eq!(samples(PAGE, "accuracy"), ["0.5"]);
        assert_eq!(samples(PAGE, "loss"), ["1.5", "NaN"]);
        assert_eq!(samples(PAGE, "loss{phase=\"test\"}"), ["NaN"]);
        assert!(samples(PAGE, "absent").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_page_makes_it_panic(page in "\\PC{0,80}") {
            samples(&page, "a{b=\"c\"}");
        }
    }
}
