//! How fast logs become rows, on one core: `cargo bench -p controller-core`.

use std::fmt::Write as _;
use std::time::Instant;

use controller_core::metrics::filter::Filter;
use controller_core::metrics::lines::{Format, LineParser};

/// Bytes of each log.
const SIZE: usize = 64 << 20;
/// Bytes read at once, as from a file.
const PIECE: usize = 256 << 10;
/// Every figure is the best of so many.
const RUNS: usize = 3;

/// A log with metrics on one line in `every`.
fn log(every: usize) -> String {
    let mut text = String::with_capacity(SIZE + 200);
    let mut line = 0_usize;
    while text.len() < SIZE {
        line += 1;
        if line.is_multiple_of(every) {
            let (loss, accuracy) = (1.0 / line as f64, 1.0 - 1.0 / line as f64);
            writeln!(text, "2026-01-01T10:00:00Z epoch={line} loss={loss:.6} accuracy={accuracy:.6}")
                .unwrap_or_default();
        } else {
            writeln!(
                text,
                "2026-01-01 10:00:00,123 INFO trainer: batch {line} of 50000 took 12.3 ms, 81 samples/s"
            )
            .unwrap_or_default();
        }
    }
    text
}

fn measure(what: &str, text: &str, format: &Format) {
    let metrics = ["loss".to_owned(), "accuracy".to_owned()];
    let mut best = f64::INFINITY;
    let mut rows = 0;
    for _ in 0..RUNS {
        let mut parser = LineParser::new("stdout", format.clone(), &metrics);
        let begun = Instant::now();
        rows = text.as_bytes().chunks(PIECE).map(|piece| parser.push(piece).len()).sum::<usize>();
        rows += parser.finish().len();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    let speed = text.len() as f64 / 1e6 / best;
    report(&format!("{what:<48} {speed:>8.0} MB/s {rows:>9} rows"));
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}

fn main() {
    let (dense, sparse) = (log(1), log(100));
    let own = r"(\w+)=([+-]?\d+\.\d+)";
    let filter = |text: &str| Filter::compile(text).map(|filter| Format::Text(vec![filter])).ok();
    measure("default filter, metrics on every line", &dense, &Format::Text(vec![Filter::default()]));
    measure("default filter, metrics on one line in 100", &sparse, &Format::Text(vec![Filter::default()]));
    if let Some(own) = filter(own) {
        measure("own expression, metrics on every line", &dense, &own);
        measure("own expression, metrics on one line in 100", &sparse, &own);
    }
}
