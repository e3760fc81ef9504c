//! What is looked at while a model is served.

use crate::duration;
use crate::report::{Problem, Report};
use crate::spec::WatchSpec;

/// The fewest rows that say something of a distribution.
const LEAST_WINDOW: u64 = 50;

/// Every problem of what is to be looked at, at this path.
pub(super) fn check(watch: &WatchSpec, path: &str, report: &mut Report) {
    if let Some(log) = &watch.log {
        if let Some(sample) = log.sample.filter(|sample| !(*sample > 0.0 && *sample <= 1.0)) {
            let problem = Problem::new(format!("{path}.log.sample"), format!("{sample} is no share"));
            report.error(problem.hint("such as `sample: 0.1` for one request in ten"));
        }
        if let Some(text) = log.keep.as_deref().filter(|text| duration::parse(text).is_none()) {
            let problem = Problem::new(format!("{path}.log.keep"), format!("`{text}` is no duration"));
            report.error(problem.hint("write it as 12h or 7d"));
        }
    } else if watch.drift.is_some() || watch.on_breach.is_some() || watch.webhook.is_some() {
        let problem = Problem::new(path, "no request is kept, so there is nothing to look at");
        report.error(problem.hint("keep some: `log: {sample: 0.1}`"));
    }
    if let Some(drift) = &watch.drift {
        if let Some(window) = drift.window.filter(|window| *window < LEAST_WINDOW) {
            let problem =
                Problem::new(format!("{path}.drift.window"), format!("{window} rows say too little"));
            report.error(problem.hint(format!("use {LEAST_WINDOW} or more")));
        }
        if let Some(limit) = drift.threshold.filter(|limit| !(*limit > 0.0 && *limit < 0.5)) {
            let problem =
                Problem::new(format!("{path}.drift.threshold"), format!("{limit} is not between 0 and 0.5"));
            report.error(problem.hint("such as 0.001 for a false alarm in one window of a thousand"));
        }
    }
    if watch.on_breach().is_none() {
        let written = watch.on_breach.clone().unwrap_or_default();
        let problem = Problem::new(format!("{path}.onBreach"), format!("{written} is nothing to do"));
        report.error(problem.hint("use `alert`, `rollback` or `{start: EXPERIMENT}`"));
    }
    if let Some(url) = watch.webhook.as_deref().filter(|url| !is_http(url)) {
        let problem = Problem::new(format!("{path}.webhook"), format!("`{url}` is no address of HTTP"));
        report.error(problem.hint("such as `http://alerts:9000/cairn`"));
    }
}

fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("http://");
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace))
}
