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
/// Longest time of one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest page in bytes.
const MAX_PAGE: usize = 16 << 20;

/// Scrapes until the run has ended. Times without an answer are noted: what was not scraped then is lost.
pub(crate) async fn page(target: &Target, mut ended: oneshot::Receiver<()>, sender: &mut Sender<'_>) {
    let url = url(target);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let (mut answered, mut gap) = (false, 0_u32);
    let mut timer = tokio::time::interval(INTERVAL);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
        match scraped.await.ok().flatten() {
            Some(page) => {
                if answered && gap > 0 {
                    sender
                        .note(vec![format!("{url} did not answer for {gap} s: what it showed then is lost")]);
                }
                (answered, gap) = (true, 0);
                sender.send(rows(target, &page)).await;
            }
            None => gap += 1,
        }
    }
    if !answered {
        sender.note(vec![format!("{url} never answered")]);
    } else if gap > 0 {
        sender.note(vec![format!("{url} did not answer for the last {gap} s of the run")]);
    }
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

/// One row a sample. A scrape's place is its time.
fn rows(target: &Target, page: &str) -> Vec<ObservationRow> {
    #[expect(clippy::disallowed_methods, reason = "a scrape is measured when it is made")]
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(since.as_micros() as i64);
    let mut rows = Vec::new();
    for metric in &target.metrics {
        for text in prometheus::samples(page, metric) {
            rows.push(ObservationRow {
                source: "prometheus".into(),
                offset: now.0 as u64,
                nth: rows.len() as u32,
                metric: metric.clone(),
                time: Some(now),
                step: now.0 / 1_000_000,
                text: text.to_owned(),
                value: number(text),
            });
        }
    }
    rows
}
