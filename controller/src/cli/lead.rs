//! Standing by and leading, where several Cairns may act upon one cluster.

use std::net::SocketAddr;

use axum::{Extension, Router};
use controller_kube::{Leadership, Obstacle, Reconciler};
use tokio::sync::watch;

use super::secret;
use crate::api::auth::Token;
use crate::world::World;
use crate::{driver, promote, schedule};

/// Secret in which Cairns that are pods of one install have their token, and its key.
const TOKEN: (&str, &str) = ("cairn-token", "token");

/// The token of a Cairn that is a pod and was given none: that of its install, made by the first of them.
pub(super) async fn token(
    options: Option<&controller_kube::Options>,
    address: SocketAddr,
) -> anyhow::Result<Option<Token>> {
    let Some(options) = options.filter(|options| options.pod.is_some() && !address.ip().is_loopback()) else {
        return Ok(None);
    };
    Ok(Some(Token::of(&secret::kept(options, TOKEN.0, TOKEN.1).await?)))
}

/// What acts, and what says whether it may.
pub(super) struct Lead {
    reconciler: Option<Reconciler>,
    leadership: Option<Leadership>,
}

impl Lead {
    /// Of these, which are there where a cluster is acted upon.
    pub(super) fn new(reconciler: Option<Reconciler>, leadership: Option<Leadership>) -> Self {
        Self { reconciler, leadership }
    }

    /// The same doors, which say whether this Cairn leads.
    pub(super) fn shown(&self, router: Router) -> Router {
        match &self.leadership {
            Some(leadership) => router.layer(Extension(leadership.standing())),
            None => router,
        }
    }

    /// Drives and reconciles until `down` turns true: at once on this machine, on a cluster as soon as this Cairn leads.
    ///
    /// # Errors
    /// If it leads no more. Whatever was under way is broken off.
    pub(super) async fn work(self, world: &World, mut down: watch::Receiver<bool>) -> Result<(), Obstacle> {
        let (Some(mut leadership), Some(reconciler)) = (self.leadership, self.reconciler) else {
            act(world, down).await;
            return Ok(());
        };
        let term = tokio::select! {
            term = leadership.win() => term,
            _ = down.changed() => return Ok(()),
        };
        tokio::select! {
            obstacle = leadership.keep(&term) => return Err(obstacle),
            () = act(world, down) => {}
            () = reconciler.run() => {}
        }
        leadership.resign().await;
        Ok(())
    }
}

/// Everything that goes on by itself, until `down` turns true.
async fn act(world: &World, down: watch::Receiver<bool>) {
    tokio::join!(
        driver::drive_all(world, down.clone()),
        promote::promote_all(world, down.clone()),
        promote::watch_all(world, down.clone()),
        promote::record_all(world, down.clone()),
        schedule::schedule_all(world, down),
    );
}
