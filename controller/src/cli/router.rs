//! `cairn router`

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Common;
use super::exit::{Exit, Wrong};
use super::output::talk;
use super::serve::{address, listen};
use crate::router::{self, Taken};

/// Serve models at one address, and split their requests among versions
///
/// Cairn starts one where a model is served and there is none; started by hand it is the one. It goes by the routes in the
/// folder of runs, and needs neither controller nor store. Where there is one already, this one takes its socket over, and
/// the other ends what it has begun: no request is lost.
///
/// Example: cairn router --listen 0.0.0.0:7800
#[derive(Debug, Args)]
pub(super) struct Router {
    /// Address at which models are reached [default: where it was before, or 127.0.0.1:7800]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Router {
    pub(super) async fn run(self, common: &Common) -> anyhow::Result<Exit> {
        let home = common.home(self.listen.or_else(|| common.router.clone()))?;
        let (listener, lock, before) = if let Some(lock) = home.lock()? {
            (listen("--listen", &home.place()).await?, lock, None)
        } else {
            let Some(taken) = router::take(&home)? else {
                let dir = common.dir.display();
                let text =
                    format!("there is a router of folder {dir} that does not hand over; stop it first");
                return Err(Wrong(text).into());
            };
            let Taken { listener, lock, before } = taken;
            let (is, wanted) = (listener.local_addr()?, address("--listen", &home.place()).await?);
            if is != wanted && wanted.port() != 0 {
                let text = format!("there is a router at {is} already; stop it first to serve at {wanted}");
                return Err(Wrong(text).into());
            }
            (listener, lock, Some(before))
        };
        talk(&format!("models are served on http://{}", listener.local_addr()?));
        let (shutdown, down) = watch::channel(false);
        let signalled = async {
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            shutdown.send_replace(true);
            std::future::pending::<std::io::Result<()>>().await
        };
        tokio::select! {
            served = router::serve(listener, &home, lock, before, down) => served?,
            result = signalled => result?,
        }
        Ok(Exit::Done)
    }
}
