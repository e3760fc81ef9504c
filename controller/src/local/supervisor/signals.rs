//! Signals as something to wait for.

use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// The pipes that signals are written to.
pub(super) struct Signals {
    child: UnixStream,
    look: UnixStream,
    end: UnixStream,
}

/// What has woken us; nothing if the time is over, or a child has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Woken {
    /// A controller says that there is something in `stop.json`.
    pub(super) look: bool,
    /// Someone wants us to end.
    pub(super) end: bool,
}

impl Signals {
    /// Begins to listen: ends of children, and wishes to stop.
    pub(super) fn listen() -> io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        Ok(Self {
            child: pipe_of(&[SIGCHLD])?,
            look: pipe_of(&[SIGUSR1])?,
            end: pipe_of(&[SIGTERM, SIGINT, SIGHUP])?,
        })
    }

    /// Waits for a signal, but not longer than `until`.
    pub(super) fn wait(&self, until: Option<Instant>) -> Woken {
        self.wait_with(&self.child, until)
    }

    /// Waits until there is something to read, or we shall end.
    pub(super) fn wait_for(&self, line: &UnixStream) -> Woken {
        self.wait_with(line, None)
    }

    fn wait_with(&self, other: &UnixStream, until: Option<Instant>) -> Woken {
        // Rounded up, or we would wake a moment early and spin.
        let left =
            until.map(|until| until.saturating_duration_since(Instant::now()) + Duration::from_micros(50));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds =
            [other, &self.look, &self.end].map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        // Interrupted by a signal: the caller looks, and waits again.
        rustix::event::poll(&mut fds, left.as_ref()).ok();
        let ready = fds.map(|fd| !fd.revents().is_empty());
        if ready[0] {
            drain(&self.child);
        }
        Woken { look: ready[1] && drain(&self.look), end: ready[2] && drain(&self.end) }
    }
}

fn pipe_of(signals: &[i32]) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    for signal in signals {
        signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
    }
    read.set_nonblocking(true)?;
    Ok(read)
}

fn drain(mut pipe: &UnixStream) -> bool {
    let mut any = false;
    let mut buffer = [0; 64];
    while pipe.read(&mut buffer).is_ok_and(|n| n > 0) {
        any = true;
    }
    any
}
