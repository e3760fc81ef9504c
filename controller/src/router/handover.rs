//! How one router hands its socket over to the next, so that no request is lost.
//!
//! The new one asks at a socket of the folder, and gets the very listener and lock of the old one; connections that nobody
//! has accepted yet wait in the listener for either. Once the new one is ready it says so: the old one accepts nothing more,
//! ends what it has, and goes. A new one that dies before has taken nothing away.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use axum::serve::Listener;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::watch;

use super::home::Home;

/// How long one may wait for the other's word.
const WITHIN: Duration = Duration::from_secs(10);

/// What was handed over.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The listener of the router before.
    pub(crate) listener: TcpListener,
    /// The lock that says that there is a router.
    pub(crate) lock: File,
    /// The one before, which waits for a word.
    pub(crate) before: Before,
}

/// The router before this one.
#[derive(Debug)]
pub(crate) struct Before(UnixStream);

impl Before {
    /// Tells it that this one is ready.
    pub(super) fn release(mut self) -> io::Result<()> {
        self.0.write_all(&[1])
    }
}

/// Takes listener and lock over from the router of this folder; `None` where none answers.
pub(crate) fn take(home: &Home) -> io::Result<Option<Taken>> {
    let before = match UnixStream::connect(home.door()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        connected => connected?,
    };
    before.set_read_timeout(Some(WITHIN))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    recvmsg(&before, &mut [IoSliceMut::new(&mut word)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut files: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    let mut files = files.into_iter();
    let (Some(listener), Some(lock)) = (files.next(), files.next()) else { return Ok(None) };
    let listener = TcpListener::from_std(std::net::TcpListener::from(listener))?;
    Ok(Some(Taken { listener, lock: File::from(lock), before: Before(before) }))
}

/// Where the next router asks.
#[derive(Debug)]
pub(super) struct Door {
    socket: UnixListener,
    listener: OwnedFd,
    lock: File,
}

impl Door {
    /// Opens the door of this folder, in place of any other.
    pub(super) fn open(home: &Home, listener: &TcpListener, lock: &File) -> io::Result<Self> {
        let door = home.door();
        let mine = door.with_extension(std::process::id().to_string());
        // One that was killed may have left it; else there is none.
        fs::remove_file(&mine).ok();
        let socket = UnixListener::bind(&mine)?;
        fs::rename(&mine, &door)?;
        let (listener, lock) = (listener.as_fd().try_clone_to_owned()?, lock.try_clone()?);
        Ok(Self { socket, listener, lock })
    }

    /// Waits until another router has taken over.
    pub(super) async fn give(&self) {
        loop {
            match self.give_once().await {
                Ok(true) => return,
                Ok(false) => tracing::warn!("a router that was to take over has gone"),
                Err(error) => {
                    tracing::warn!(%error, "the socket could not be handed over");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn give_once(&self) -> io::Result<bool> {
        let (next, _) = self.socket.accept().await?;
        let (next, listener, lock) = (next.into_std()?, self.listener.try_clone()?, self.lock.try_clone()?);
        let given = tokio::task::spawn_blocking(move || {
            next.set_nonblocking(false)?;
            next.set_read_timeout(Some(WITHIN))?;
            let files = [listener.as_fd(), lock.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&files)) {
                return Err(io::Error::other("two files do not fit into a message"));
            }
            sendmsg(&next, &[IoSlice::new(&[1])], &mut control, SendFlags::empty())?;
            Ok((&next).read(&mut [0])? == 1)
        });
        given.await.map_err(io::Error::other)?
    }
}

/// A listener that accepts until it is left.
#[derive(Debug)]
pub(super) struct Until {
    listener: TcpListener,
    left: watch::Receiver<bool>,
}

impl Until {
    pub(super) fn new(listener: TcpListener, left: watch::Receiver<bool>) -> Self {
        Self { listener, left }
    }
}

impl Listener for Until {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        tokio::select! {
            biased;
            () = until(&mut self.left) => std::future::pending().await,
            accepted = Listener::accept(&mut self.listener) => accepted,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Waits until it is true. An error means that the sender is gone: nobody accepts for it any more.
pub(super) async fn until(word: &mut watch::Receiver<bool>) {
    word.wait_for(|said| *said).await.ok();
}
