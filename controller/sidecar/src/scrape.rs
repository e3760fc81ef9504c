//! Scraping a Prometheus page of the run once a second.

use std::time::Duration;

use bytes::Bytes;
use controller_core::metrics::prometheus;
use controller_core::metrics::value::number;
use controller_core::ports::ObservationRow;
use controller_core::spec::HttpGet;
use controller_core::time::Timestamp;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::collect::Target;
use crate::sender::Sender;

/// Time between scrapes.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time between scrapes above which something was missed.
const LONGEST: Duration = Duration::from_millis(2500);
/// Longest time of one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest page in bytes.
const MAX_PAGE: usize = 16 << 20;
/// Source of the rows; their place is the time of the scrape in microseconds.
const SOURCE: &str = "prometheus";

/// Scrapes until the run has ended. Times without a scrape are noted, also those in which no collector was there: what
/// the page showed then is lost.
pub(crate) async fn page(target: &Target, mut ended: oneshot::Receiver<()>, sender: &mut Sender<'_>) {
    let url = url(target);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let earlier = sender.position(SOURCE).await.map(|micros| Timestamp(micros as i64));
    let (mut answered, mut last) = (earlier.is_some(), earlier.or(target.since));
    loop {
        tokio::select! {
            _ = &mut ended => break,
            _ = timer.tick() => {}
        }
        let scraped = tokio::time::timeout(TIMEOUT, async {
            let response = client.get(url.parse().ok()?).await.ok()?;
            let body = Limited::new(response.into_body(), MAX_PAGE).collect().await.ok()?.to_bytes();
            Some(String::from_utf8_lossy(&body).into_owned())
        });
        if let Some(page) = scraped.await.ok().flatten() {
            let now = now();
            sender.note(gap(&url, last, now).into_iter().collect());
            (answered, last) = (true, Some(now));
            sender.send(rows(target, now, &page)).await;
        }
    }
    if answered {
        sender.note(gap(&url, last, now()).into_iter().collect());
    } else {
        sender.note(vec![format!("{url} never answered")]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a scrape is measured when it is made")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}

/// What to say of the time since the last scrape, if it is longer than it should be.
fn gap(url: &str, last: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let last = last.filter(|last| now.since(*last) > LONGEST)?;
    let times = [last, now].map(Timestamp::to_rfc3339);
    Some(format!("{url} was not scraped from {} to {}: what it showed then is lost", times[0], times[1]))
}

fn url(target: &Target) -> String {
    let http =
        target.collector.source.as_ref().and_then(|source| source.http_get.clone()).unwrap_or_default();
    let HttpGet { path, port, host, .. } = http;
    let fixed = port.as_ref().and_then(|port| match port {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|port| u16::try_from(port).ok()),
    });
    let port = target.port.or(fixed).unwrap_or(8080);
    let host = if host.is_empty() { "127.0.0.1" } else { &host };
    format!("http://{host}:{port}{path}")
}

/// One row a sample.
fn rows(target: &Target, now: Timestamp, page: &str) -> Vec<ObservationRow> {
    let mut rows = Vec::new();
    for metric in &target.metrics {
        for text in prometheus::samples(page, metric) {
            rows.push(ObservationRow {
                source: SOURCE.into(),
                offset: now.0 as u64,
                nth: rows.len() as u32,
                metric: metric.as_str().into(),
                time: Some(now),
                step: now.0 / 1_000_000,
                text: text.to_owned(),
                value: number(text),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_longer_than_they_should_be_are_noted() {
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        assert_eq!(gap("url", None, at(100)), None);
        assert_eq!(gap("url", Some(at(99)), at(101)), None);
        let noted = gap("url", Some(at(90)), at(100)).unwrap();
        assert!(noted.contains("from 1970-01-01T00:01:30Z to 1970-01-01T00:01:40Z"), "{noted}");
    }
}
