//! What the router counts, a version each, and the page that it shows to Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use controller_core::promotion::guard::{BOUNDS, bound, class_of};

/// Namespace, model and version.
type Key = (String, String, String);

/// Reads a number of a counter.
type Read = fn(&Counter) -> &AtomicU64;

/// What a version has answered, to requests or to copies of them.
#[derive(Debug)]
pub(super) struct Counter {
    compared: AtomicU64,
    disagreed: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
    aborted: AtomicU64,
    in_flight: AtomicU64,
    micros: AtomicU64,
    classes: [AtomicU64; BOUNDS + 1],
}

/// All counters since a start.
#[derive(Debug, Default)]
pub(super) struct Meters {
    counters: Mutex<Counters>,
    copies: Mutex<Counters>,
}

type Counters = BTreeMap<Key, Arc<Counter>>;

/// A request on its way. Counted once it has ended.
#[derive(Debug)]
pub(super) struct Ticket {
    counter: Arc<Counter>,
    begun: Instant,
    /// How long the head of the answer took.
    took: Option<Duration>,
    /// Whether it is counted.
    ended: bool,
}

impl Counter {
    fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            compared: zero(),
            disagreed: zero(),
            requests: zero(),
            errors: zero(),
            aborted: zero(),
            in_flight: zero(),
            micros: zero(),
            classes: std::array::from_fn(|_| zero()),
        }
    }

    /// An answer to a copy was compared with the champion's.
    pub(super) fn compared(&self, agree: bool) {
        self.disagreed.fetch_add(u64::from(!agree), Relaxed);
        self.compared.fetch_add(1, Relaxed);
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Ticket {
        self.in_flight.fetch_add(1, Relaxed);
        Ticket { counter: Arc::clone(self), begun: Instant::now(), took: None, ended: false }
    }
}

impl Ticket {
    /// The head of the answer is there.
    pub(super) fn answered(&mut self) {
        self.took = Some(self.begun.elapsed());
    }

    /// It has ended, well or not.
    pub(super) fn end(&mut self, well: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.took.unwrap_or_else(|| self.begun.elapsed());
        self.counter.classes[class_of(took)].fetch_add(1, Relaxed);
        self.counter.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.counter.errors.fetch_add(u64::from(!well), Relaxed);
        self.counter.requests.fetch_add(1, Relaxed);
    }
}

impl Drop for Ticket {
    /// One that was not ended was given up by whoever asked: while nothing had come, for want of an answer; later, no fault
    /// of the server.
    fn drop(&mut self) {
        if self.took.is_none() {
            self.end(false);
        }
        self.counter.aborted.fetch_add(u64::from(!self.ended), Relaxed);
        self.counter.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Meters {
    /// The counter of a version.
    pub(super) fn of(&self, namespace: &str, model: &str, version: &str) -> Arc<Counter> {
        Self::one(&self.counters, namespace, model, version)
    }

    /// The counter of the copies that a version gets.
    pub(super) fn of_copies(&self, namespace: &str, model: &str, version: &str) -> Arc<Counter> {
        Self::one(&self.copies, namespace, model, version)
    }

    fn one(all: &Mutex<Counters>, namespace: &str, model: &str, version: &str) -> Arc<Counter> {
        let mut counters = all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), model.to_owned(), version.to_owned());
        Arc::clone(counters.entry(key).or_insert_with(|| Arc::new(Counter::new())))
    }

    /// The page: everything that was counted since `start` seconds, and by which split the router goes for each model.
    pub(super) fn page(&self, start: f64, generations: &[(String, String, u64)]) -> String {
        let mut page = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // A text never refuses what is written into it.
            page.write_fmt(text).ok();
            page.push('\n');
        };
        line(format_args!("# TYPE cairn_router_start_time_seconds gauge"));
        line(format_args!("cairn_router_start_time_seconds {start}"));
        line(format_args!("# TYPE cairn_router_generation gauge"));
        for (namespace, model, generation) in generations {
            line(format_args!(
                "cairn_router_generation{{namespace=\"{namespace}\",model=\"{model}\"}} {generation}"
            ));
        }
        let families: [(&str, &str, Read); 4] = [
            ("requests_total", "counter", |counter| &counter.requests),
            ("errors_total", "counter", |counter| &counter.errors),
            ("aborted_total", "counter", |counter| &counter.aborted),
            ("requests_in_flight", "gauge", |counter| &counter.in_flight),
        ];
        let of_copies: [(&str, &str, Read); 4] = [
            ("requests_total", "counter", |counter| &counter.requests),
            ("errors_total", "counter", |counter| &counter.errors),
            ("compared_total", "counter", |counter| &counter.compared),
            ("disagreed_total", "counter", |counter| &counter.disagreed),
        ];
        write(&mut line, "cairn_router", &self.counters, families);
        write(&mut line, "cairn_router_shadow", &self.copies, of_copies);
        page
    }
}

/// Writes counters and latencies of all versions, under names that begin so.
fn write(
    line: &mut impl FnMut(std::fmt::Arguments<'_>),
    name: &str,
    all: &Mutex<Counters>,
    families: [(&str, &str, Read); 4],
) {
    let counters = all.lock().unwrap_or_else(PoisonError::into_inner);
    let labels = |(namespace, model, version): &Key| {
        format!("namespace=\"{namespace}\",model=\"{model}\",version=\"{version}\"")
    };
    for (family, kind, read) in families {
        line(format_args!("# TYPE {name}_{family} {kind}"));
        for (key, counter) in counters.iter() {
            line(format_args!("{name}_{family}{{{}}} {}", labels(key), read(counter).load(Relaxed)));
        }
    }
    let name = format!("{name}_latency_seconds");
    line(format_args!("# TYPE {name} histogram"));
    for (key, counter) in counters.iter() {
        let labels = labels(key);
        let mut sum = 0;
        for (class, count) in counter.classes.iter().enumerate() {
            sum += count.load(Relaxed);
            if class < BOUNDS {
                line(format_args!("{name}_bucket{{{labels},le=\"{:.7}\"}} {sum}", bound(class)));
            } else {
                line(format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {sum}"));
            }
        }
        line(format_args!("{name}_sum{{{labels}}} {}", counter.micros.load(Relaxed) as f64 / 1e6));
        line(format_args!("{name}_count{{{labels}}} {sum}"));
    }
}
