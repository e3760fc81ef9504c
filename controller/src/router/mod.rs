//! The router: one address for each model, whatever its version, and a share of the requests for each version.
//!
//! A process of its own. What it has to know lies in a folder ([`Home`]), written by whoever promotes; it goes by what it
//! has read last, while controller and store are away as well as not. It is a plain reverse proxy over the HTTP library
//! that the rest of Cairn stands on: bodies stream both ways, connections to servers are kept, and what a server that
//! cannot be reached would have got goes to another version of its model. A sample of the requests is kept, if that is
//! wanted, and a candidate may get copies of them. A router that is to be replaced hands its socket over to the next.

mod copies;
mod grpc;
mod handover;
mod home;
mod log;
mod meters;
mod proxy;
mod shadow;
mod table;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub(crate) use handover::{Before, Taken, take};
use handover::{Door, Until};
pub(crate) use home::{Backend, Home, Routes, VERSION, replace};
pub(crate) use log::{part_numbers, part_path};
use proxy::Proxy;

/// How often the routes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long connections have to come to their end by themselves once another router has taken over: the next answer on each
/// asks for it.
const LINGER: Duration = Duration::from_secs(10);
/// How long open requests have when the router ends.
const FAREWELL: Duration = Duration::from_secs(30);

/// How long what is kept may take to be written when the router ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Routes requests of this listener until `down` turns true or another router takes over; then open ones have a while to
/// end. The lock says that there is a router of this home; the router before, if there is one, is told when this one is
/// ready.
pub(crate) async fn serve(
    listener: TcpListener,
    home: &Home,
    lock: File,
    before: Option<Before>,
    mut down: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let (log, entries) = log::Log::new();
    let to = home.clone();
    let written = tokio::task::spawn_blocking(move || log::write(entries, &to));
    let (shadow, copies) = shadow::Shadow::new();
    let proxy = Arc::new(Proxy::new(log, shadow));
    let mut asking = JoinSet::new();
    asking.spawn(shadow::ask_all(copies, proxy.client()));
    proxy.take(&home.read()?);
    home.say_address(&listener.local_addr()?.to_string())?;
    home.say_version()?;
    let door = Door::open(home, &listener, &lock)
        .inspect_err(|error| tracing::warn!(%error, "no other router can take over from this one"))
        .ok();
    let app = Router::new().fallback(proxy::answer).with_state(Arc::clone(&proxy));
    let (leave, left) = watch::channel(false);
    let (end, mut ended) = watch::channel(false);
    let listener = Until::new(listener, left).tap_io(|connection| {
        // One that cannot be set is slower, no worse.
        connection.set_nodelay(true).ok();
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        handover::until(&mut ended).await;
    });
    let looked = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match home.read() {
                Ok(routes) => proxy.take(&routes),
                // What was read last goes on to count.
                Err(error) => tracing::warn!(%error, "the routes cannot be read"),
            }
        }
    };
    let given = async {
        match &door {
            Some(door) => door.give().await,
            None => std::future::pending().await,
        }
    };
    let patience = async {
        tokio::select! {
            () = handover::until(&mut down) => {}
            () = given => {
                tracing::info!("another router has taken over");
                proxy.leave();
                leave.send_replace(true);
                tokio::time::sleep(LINGER).await;
            }
        }
        end.send_replace(true);
        tokio::time::sleep(FAREWELL).await;
    };
    if let Some(before) = before
        && let Err(error) = before.release()
    {
        tracing::warn!(%error, "the router before has gone");
    }
    let ended = tokio::select! {
        served = async { served.await } => served,
        () = looked => Ok(()),
        () = patience => Ok(()),
    };
    drop(proxy);
    // Nobody waits for answers to copies.
    asking.shutdown().await;
    // Requests that are given up may hold it open; what they would have kept is lost with them.
    tokio::time::timeout(LAST_LINES, written).await.ok();
    ended
}
