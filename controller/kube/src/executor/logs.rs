//! What a run has printed, for people.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use controller_core::run::RunId;
use futures::stream::BoxStream;
use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Shared, lock, pods};
use crate::answer;
use crate::job::Reading;

/// Pieces on their way to the reader.
const PIECES: usize = 16;

/// The log of the newest primary pod of a run, from a byte on; with `follow` until its container ends. Empty once its
/// object is gone.
pub(super) fn of_run(shared: &Arc<Shared>, run: RunId, from: u64, follow: bool) -> BoxStream<'static, Bytes> {
    let (pieces, printed) = mpsc::channel(PIECES);
    let mut tasks = lock(&shared.tasks);
    tasks.spawn(read(Arc::clone(shared), run, from, follow, pieces));
    drop(tasks);
    ReceiverStream::new(printed).boxed()
}

async fn read(shared: Arc<Shared>, run: RunId, from: u64, follow: bool, pieces: mpsc::Sender<Bytes>) {
    let Some((pod, reading)) = newest(&shared, run) else { return };
    let api: Api<Pod> = Api::namespaced(shared.cluster.client.clone(), &pod.namespace().unwrap_or_default());
    let params =
        LogParams { container: Some(pods::printing(&pod, &reading)), follow, ..LogParams::default() };
    let Ok(stream) = answer::within(api.log_stream(&pod.name_any(), &params)).await else { return };
    let mut stream = pin!(stream);
    let mut skip = from;
    loop {
        let Ok(chunk) = stream.fill_buf().await else { return };
        let length = chunk.len();
        let passed = usize::try_from(skip).unwrap_or(length).min(length);
        skip -= passed as u64;
        let piece = Bytes::copy_from_slice(&chunk[passed..]);
        if length == 0 || (!piece.is_empty() && pieces.send(piece).await.is_err()) {
            return;
        }
        stream.consume_unpin(length);
    }
}

fn newest(shared: &Shared, run: RunId) -> Option<(Arc<Pod>, Reading)> {
    let place = shared.place(&run)?;
    let reading = Reading::read(&*place.objects.get(&place.namespace, &place.name)?)?;
    let newest = shared.pods_of(run).into_iter().rfind(|pod| pods::is_primary(pod, &reading))?;
    Some((newest, reading))
}
