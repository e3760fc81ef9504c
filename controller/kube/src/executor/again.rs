//! What a program has printed, read again where its sidecar was ended before it had reported everything. The sidecar shows
//! what it reads, byte by byte, so that each line of its log has the place in it that it has in the file, and what was
//! reported already is added no second time.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::{Collected, LogLine};
use controller_core::run::RunId;
use controller_core::sidecar::OWN_LINE;
use futures::{AsyncBufReadExt as _, StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::log::{Lines, stamped};
use super::{Shared, pods};
use crate::answer::{self, Doing};
use crate::inject::CONTAINERS;
use crate::job::Reading;

/// What the sidecar calls the output of its program.
const OUTPUT: &str = "stdout";
/// Most bytes of one log; a node keeps fewer.
const MAX_LOG: i64 = 64 << 20;
/// How long a log is asked for that cannot be had at once, and how often.
const PATIENCE: Duration = Duration::from_mins(1);
const BACK_OFF: Duration = Duration::from_secs(3);

/// What was found, and whether it is everything that the programs of all these pods have printed.
pub(super) struct Again {
    pub(super) collected: Collected,
    pub(super) is_whole: bool,
}

/// Reads the logs of sidecars again that were ended early.
pub(super) async fn read(shared: &Shared, run: RunId, reading: &Reading, pods: &[Arc<Pod>]) -> Again {
    let reported = loop {
        match shared.store.positions(run).await {
            Ok(positions) => break positions,
            Err(error) => warn!(%run, %error, "what was reported cannot be read yet"),
        }
        sleep(BACK_OFF).await;
    };
    let (mut logs, mut notes, mut is_whole) = (Vec::new(), Vec::new(), true);
    for pod in pods {
        let name = pod.name_any();
        match log(shared, pod, &reported).await {
            Ok(lines) => {
                logs.push(lines);
                let gap = "its sidecar was ended before it had reported everything; its log was read again";
                if pods::has_shown_everything(pod, reading) {
                    notes.push(gap.to_owned());
                } else {
                    is_whole = false;
                    notes.push(format!("{gap}, and what pod {name} printed after that is not known"));
                }
            }
            Err(why) => {
                is_whole = false;
                let gap = "its sidecar was ended before it had reported everything, and its log";
                notes.push(format!("{gap} cannot be read again in pod {name}: {why}"));
            }
        }
    }
    let found = shared.collector.collect(&reading.wanted(run), stream::iter(logs).boxed(), &|_| ()).await;
    notes.extend(found.notes);
    Again { collected: Collected { stopped_by: found.stopped_by, notes, ..Collected::default() }, is_whole }
}

/// The lines of a pod's sidecar at the places that they have in the program's output.
async fn log(shared: &Shared, pod: &Pod, reported: &BTreeMap<String, u64>) -> Result<Vec<LogLine>, String> {
    let source = format!("{} {OUTPUT}", pod.uid().unwrap_or_default());
    if reported.keys().any(|other| other.starts_with(&format!("{source}~"))) {
        return Err("the file of its output was cut or replaced meanwhile".into());
    }
    let begun = Instant::now();
    let lines = loop {
        match lines(shared, pod, &source).await {
            Ok(lines) => break lines,
            Err(error) => {
                if answer::is_not_found(&error) || begun.elapsed() > PATIENCE {
                    let doing = Doing { verb: "get", group: "", plural: "pods/log" };
                    return Err(answer::message(&error, &doing));
                }
            }
        }
        sleep(BACK_OFF).await;
    };
    // A node keeps the end of a long log alone: places in that are others.
    match reported.get(&source) {
        Some(last) if lines.iter().all(|line| line.place != *last) => {
            Err("the node has kept only its end".into())
        }
        _ => Ok(lines),
    }
}

async fn lines(shared: &Shared, pod: &Pod, source: &str) -> Result<Vec<LogLine>, kube::Error> {
    let api: Api<Pod> = Api::namespaced(shared.cluster.client.clone(), &pod.namespace().unwrap_or_default());
    let params = LogParams {
        container: Some(CONTAINERS[0].to_owned()),
        limit_bytes: Some(MAX_LOG),
        timestamps: true,
        ..LogParams::default()
    };
    let mut log = pin!(answer::within(api.log_stream(&pod.name_any(), &params)).await?);
    let source: Arc<str> = source.into();
    let (mut lined, mut all, mut next) = (Lines::default(), Vec::new(), 0);
    loop {
        let chunk = log.fill_buf().await.map_err(kube::Error::ReadEvents)?;
        let length = chunk.len();
        let whole = if length == 0 { lined.rest() } else { lined.push(chunk) };
        for line in whole {
            let Some((_, time, text)) = stamped(&line.text) else { continue };
            if text.starts_with(OWN_LINE.as_bytes()) {
                continue;
            }
            let stamp = (line.text.len() - text.len()) as u64;
            all.push(LogLine { source: Arc::clone(&source), place: next, time, text });
            next += line.length - stamp + 1;
        }
        if length == 0 {
            return Ok(all);
        }
        log.consume_unpin(length);
    }
}
