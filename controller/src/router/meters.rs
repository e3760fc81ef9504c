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

/// What a version has answered.
#[derive(Debug)]
pub(super) struct Counter {
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
    counters: Mutex<BTreeMap<Key, Arc<Counter>>>,
}

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
            requests: zero(),
            errors: zero(),
            aborted: zero(),
            in_flight: zero(),
            micros: zero(),
            classes: std::array::from_fn(|_| zero()),
        }
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
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), model.to_owned(), version.to_owned());
        Arc::clone(counters.entry(key).or_insert_with(|| Arc::new(Counter::new())))
    }

    /// The page: everything that was counted since `start` seconds, and by which split the router goes for each model.
    pub(super) fn page(&self, start: f64, generations: &[(String, String, u64)]) -> String {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
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
        let labels = |(namespace, model, version): &Key| {
            format!("namespace=\"{namespace}\",model=\"{model}\",version=\"{version}\"")
        };
        let families: [(&str, &str, Read); 4] = [
            ("cairn_router_requests_total", "counter", |counter| &counter.requests),
            ("cairn_router_errors_total", "counter", |counter| &counter.errors),
            ("cairn_router_aborted_total", "counter", |counter| &counter.aborted),
            ("cairn_router_requests_in_flight", "gauge", |counter| &counter.in_flight),
        ];
        for (name, kind, read) in families {
            line(format_args!("# TYPE {name} {kind}"));
            for (key, counter) in counters.iter() {
                line(format_args!("{name}{{{}}} {}", labels(key), read(counter).load(Relaxed)));
            }
        }
        let name = "cairn_router_latency_seconds";
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
        page
    }
}
