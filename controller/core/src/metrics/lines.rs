//! Lines to rows, as they come: bytes in, rows out, with the place of each.

use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;

use super::filter::Filter;
use super::json;
use super::value::{escape, number};
use crate::ports::ObservationRow;
use crate::time::Timestamp;

/// Longest line that is read whole; of a longer one the rest is passed over, and that is noted.
const MAX_LINE: usize = 1 << 20;

/// How lines are written.
#[derive(Clone, Debug)]
pub enum Format {
    /// Free text; each filter finds names and values.
    Text(Vec<Filter>),
    /// A JSON object a line.
    Json,
}

/// Reads one file from its start, in pieces of any size. However it is cut, the rows are the same.
#[derive(Debug)]
pub struct LineParser {
    source: Arc<str>,
    format: Format,
    metrics: Vec<Metric>,
    /// Byte at which the next piece begins.
    position: u64,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// Whether the line at hand is too long and its rest is passed over.
    skipping: bool,
    /// Place of the last line that came with its own, and how many rows there are of it.
    placed: (u64, u32),
    notes: Vec<String>,
}

#[derive(Debug)]
struct Metric {
    name: Arc<str>,
    finder: Finder<'static>,
    /// Rows so far, which number those that name no step.
    rows: i64,
}

impl LineParser {
    /// A parser of a source for these metrics.
    pub fn new(source: impl Into<Arc<str>>, format: Format, metrics: &[String]) -> Self {
        let metrics = metrics.iter().map(|name| Metric {
            name: Arc::from(name.as_str()),
            finder: Finder::new(name.as_bytes()).into_owned(),
            rows: 0,
        });
        Self {
            source: source.into(),
            format,
            metrics: metrics.collect(),
            position: 0,
            partial: Vec::new(),
            skipping: false,
            placed: (0, 0),
            notes: Vec::new(),
        }
    }

    /// A parser of the same kind for another file, which goes on numbering rows.
    #[must_use]
    pub fn anew(mut self, source: impl Into<Arc<str>>) -> Self {
        self.source = source.into();
        self.position = 0;
        self.partial.clear();
        self.skipping = false;
        self
    }

    /// Reads more; returns the rows of all lines that are whole by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<ObservationRow> {
        let mut rows = Vec::new();
        let mut rest = bytes;
        if !self.partial.is_empty() || self.skipping {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.keep(rest);
                return rows;
            };
            self.keep(&rest[..end]);
            let line = std::mem::take(&mut self.partial);
            let start = self.position - line.len() as u64;
            if !self.skipping {
                self.line(&line, start, &mut rows);
            }
            self.skipping = false;
            self.position += 1;
            rest = &rest[end + 1..];
        }
        let whole = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
        self.whole_lines(&rest[..whole], &mut rows);
        self.position += whole as u64;
        self.keep(&rest[whole..]);
        rows
    }

    /// Reads a whole line that comes with its place and time, such as one of a log that others keep. Lines at one place
    /// are told apart by their order.
    pub fn line_at(&mut self, place: u64, time: Timestamp, line: &[u8]) -> Vec<ObservationRow> {
        let mut rows = Vec::new();
        let is_json = matches!(self.format, Format::Json);
        if is_json || self.metrics.iter().any(|metric| metric.finder.find(line).is_some()) {
            self.line(line, place, &mut rows);
        }
        if rows.is_empty() {
            return rows;
        }
        let before = if self.placed.0 == place { self.placed.1 } else { 0 };
        for row in &mut rows {
            row.nth += before;
            row.time.get_or_insert(time);
        }
        self.placed = (place, before + rows.len() as u32);
        rows
    }

    /// The file has ended: a last line without an end is read too.
    pub fn finish(&mut self) -> Vec<ObservationRow> {
        let mut rows = Vec::new();
        let line = std::mem::take(&mut self.partial);
        if !line.is_empty() && !self.skipping {
            let start = self.position - line.len() as u64;
            self.line(&line, start, &mut rows);
        }
        rows
    }

    /// What there was to say since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, bytes: &[u8]) {
        self.position += bytes.len() as u64;
        if self.skipping {
            return;
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > MAX_LINE {
            let start = self.position - self.partial.len() as u64;
            self.notes.push(format!(
                "{}: the line at byte {start} is longer than {MAX_LINE} bytes and was passed over",
                self.source
            ));
            self.partial = Vec::new();
            self.skipping = true;
        }
    }

    /// Reads those of many lines in which a metric's name occurs.
    fn whole_lines(&mut self, bytes: &[u8], rows: &mut Vec<ObservationRow>) {
        if matches!(self.format, Format::Json) {
            let mut start = 0;
            while let Some(length) = memchr::memchr(b'\n', &bytes[start..]) {
                self.line(&bytes[start..start + length], self.position + start as u64, rows);
                start += length + 1;
            }
            return;
        }
        let mut hits: Vec<Option<usize>> = self.metrics.iter().map(|m| m.finder.find(bytes)).collect();
        while let Some(hit) = hits.iter().flatten().min().copied() {
            let start = memchr::memrchr(b'\n', &bytes[..hit]).map_or(0, |end| end + 1);
            let end = memchr::memchr(b'\n', &bytes[hit..]).map_or(bytes.len(), |length| hit + length);
            self.text_line(&bytes[start..end], self.position + start as u64, rows);
            for (metric, next) in self.metrics.iter().zip(&mut hits) {
                if next.is_some_and(|next| next < end) {
                    *next = metric.finder.find(&bytes[end..]).map(|at| end + at);
                }
            }
        }
    }

    fn line(&mut self, line: &[u8], start: u64, rows: &mut Vec<ObservationRow>) {
        match self.format {
            Format::Text(_) => self.text_line(line, start, rows),
            Format::Json => self.json_line(line, start, rows),
        }
    }

    fn text_line(&mut self, line: &[u8], start: u64, rows: &mut Vec<ObservationRow>) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let first = rows.len();
        let (time, mut step) = (leading_time(line), NamedStep::default());
        let Format::Text(filters) = &self.format else {
            return;
        };
        for filter in filters {
            filter.matches(line, |name, value| {
                if filter.is_default() {
                    step.look(name, value);
                }
                if let Some(metric) = self.metrics.iter_mut().find(|metric| metric.name.as_bytes() == name)
                    && !value.is_empty()
                {
                    let nth = (rows.len() - first) as u32;
                    rows.push(metric.row(&self.source, start, nth, time, escape(value)));
                }
            });
        }
        if rows.len() > first && !filters.iter().any(Filter::is_default) && NamedStep::may_be_in(line) {
            Filter::default().matches(line, |name, value| step.look(name, value));
        }
        if let Some(step) = step.get() {
            rows[first..].iter_mut().for_each(|row| row.step = step);
        }
    }

    fn json_line(&mut self, line: &[u8], start: u64, rows: &mut Vec<ObservationRow>) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let object = match json::read(line) {
            Ok(object) => object,
            Err(problem) => {
                return self
                    .notes
                    .push(format!("{}: the line at byte {start} was passed over: {problem}", self.source));
            }
        };
        let mut nth = 0;
        for metric in &mut self.metrics {
            if let Some(text) = object.value(&metric.name) {
                let mut row = metric.row(&self.source, start, nth, object.time(), text);
                row.step = object.step().unwrap_or(row.step);
                rows.push(row);
                nth += 1;
            }
        }
    }
}

impl Metric {
    fn row(
        &mut self,
        source: &Arc<str>,
        offset: u64,
        nth: u32,
        time: Option<Timestamp>,
        text: String,
    ) -> ObservationRow {
        let step = self.rows;
        self.rows += 1;
        let value = number(&text);
        ObservationRow {
            source: Arc::clone(source),
            offset,
            nth,
            metric: Arc::clone(&self.name),
            time,
            step,
            text,
            value,
        }
    }
}

/// The time that a line begins with, up to its first space.
fn leading_time(line: &[u8]) -> Option<Timestamp> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    Timestamp::parse_rfc3339(std::str::from_utf8(line.get(..end.min(40))?).ok()?)
}

/// The step that a line names as `step=3` or `epoch=3`; the first of each, a step before an epoch.
#[derive(Clone, Copy, Debug, Default)]
struct NamedStep {
    step: Option<i64>,
    epoch: Option<i64>,
}

impl NamedStep {
    /// Whether it is worth looking.
    fn may_be_in(line: &[u8]) -> bool {
        static WORDS: LazyLock<[Finder<'static>; 2]> =
            LazyLock::new(|| [Finder::new(b"step"), Finder::new(b"epoch")]);
        WORDS.iter().any(|word| word.find(line).is_some())
    }

    fn look(&mut self, name: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.parse().ok();
        match name {
            b"step" => self.step = self.step.or_else(number),
            b"epoch" => self.epoch = self.epoch.or_else(number),
            _ => {}
        }
    }

    fn get(self) -> Option<i64> {
        self.step.or(self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parser(metrics: &[&str], format: Format) -> LineParser {
        let metrics: Vec<String> = metrics.iter().map(|m| (*m).to_owned()).collect();
        LineParser::new("stdout", format, &metrics)
    }

    fn text(metrics: &[&str]) -> LineParser {
        parser(metrics, Format::Text(vec![Filter::default()]))
    }

    fn all(mut parser: LineParser, pieces: &[&[u8]]) -> Vec<ObservationRow> {
        let mut rows: Vec<_> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
        rows.extend(parser.finish());
        rows
    }

    #[test]
    fn katib_s_example_gives_four_rows() {
        let log = b"start\n2026-01-01T10:00:00Z loss=0.30 acc=0.8\n2026-01-01T10:00:01Z loss=0.25 acc=0.9\n";
        let rows = all(text(&["loss", "acc"]), &[log]);
        let seen: Vec<_> =
            rows.iter().map(|r| (&*r.metric, r.text.as_str(), r.step, r.offset, r.nth)).collect();
        assert_eq!(
            seen,
            [
                ("loss", "0.30", 0, 6, 0),
                ("acc", "0.8", 0, 6, 1),
                ("loss", "0.25", 1, 45, 0),
                ("acc", "0.9", 1, 45, 1)
            ]
        );
        assert_eq!(rows[0].time.unwrap().to_rfc3339(), "2026-01-01T10:00:00Z");
    }

    #[test]
    fn a_step_or_epoch_named_in_the_line_counts() {
        let rows = all(text(&["loss"]), &[b"epoch=7 loss=0.5\nepoch=8 step=90 loss=0.4\nloss=0.3"]);
        assert_eq!(rows.iter().map(|r| r.step).collect::<Vec<_>>(), [7, 90, 2]);
    }

    #[test]
    fn lines_with_places_of_their_own_are_told_apart_at_one_place() {
        let mut parser = text(&["loss", "acc"]);
        let mut seen = Vec::new();
        for (place, line) in [(7, "loss=1 acc=2"), (7, "nothing"), (7, "loss=3"), (9, "loss=4")] {
            let rows = parser.line_at(place, Timestamp(place as i64), line.as_bytes());
            seen.extend(rows.into_iter().map(|r| (r.text, r.offset, r.nth, r.step, r.time.unwrap().0)));
        }
        let row = |text: &str, place, nth, step| (text.to_owned(), place, nth, step, place as i64);
        assert_eq!(seen, [row("1", 7, 0, 0), row("2", 7, 1, 0), row("3", 7, 2, 1), row("4", 9, 0, 2)]);
        let timed = parser.line_at(10, Timestamp(10), b"2026-01-01T10:00:00Z loss=5");
        assert_eq!(timed[0].time.unwrap().to_rfc3339(), "2026-01-01T10:00:00Z");
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let rows = all(text(&["loss"]), &[b"\xff\0 loss=1\nbar \xfe loss=2\n\0loss=nan\n"]);
        assert_eq!(rows.iter().map(|r| r.text.as_str()).collect::<Vec<_>>(), ["1", "2", "nan"]);
        assert!(rows[2].value.unwrap().is_nan());
    }

    #[test]
    fn a_line_without_end_is_bounded_and_said() {
        let mut parser = text(&["loss"]);
        for _ in 0..3 {
            assert!(parser.push(&vec![b'x'; MAX_LINE / 2 + 1]).is_empty());
        }
        assert_eq!(parser.push(b" loss=1\nloss=2\n").len(), 1);
        assert_eq!(parser.take_notes().len(), 1);
    }

    #[test]
    fn json_lines_take_texts_and_numbers() {
        let log = b"{\"loss\": \"0.5\", \"acc\": 0.9, \"epoch\": 3}\nnot json\n\n{\"loss\": null, \"timestamp\": 1638422847.5, \"acc\": 1}\n";
        let mut parser = parser(&["loss", "acc"], Format::Json);
        let rows = parser.push(log);
        let seen: Vec<_> = rows.iter().map(|r| (&*r.metric, r.text.as_str(), r.step)).collect();
        assert_eq!(seen, [("loss", "0.5", 3), ("acc", "0.9", 3), ("acc", "1", 1)]);
        assert_eq!(rows[2].time, Some(Timestamp(1_638_422_847_500_000)));
        assert_eq!(parser.take_notes().len(), 1);
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_rows_are_the_same(
            log in "(loss=[0-9]{1,2}|acc = 1|x|\n| |epoch=[0-9]){0,30}", cuts in proptest::collection::vec(0..60_usize, 0..4)
        ) {
            let bytes = log.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(all(text(&["loss", "acc"]), &pieces), all(text(&["loss", "acc"]), &[bytes]));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            all(text(&["a"]), &[&bytes]);
            all(parser(&["a"], Format::Json), &[&bytes]);
        }
    }
}
