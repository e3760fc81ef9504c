//! Signals as something to wait for.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Both pipes that signals are written to.
pub(super) struct Signals {
    child: UnixStream,
    stop: UnixStream,
}

/// What has woken us; nothing if the time is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Woken {
    /// Someone wants the run to end.
    pub(super) stop: bool,
}

impl Signals {
    /// Begins to listen: ends of children, and wishes to stop.
    pub(super) fn listen() -> io::Result<Self> {
        use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
        let (child, write) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGCHLD, write)?;
        let (stop, write) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        child.set_nonblocking(true)?;
        stop.set_nonblocking(true)?;
        Ok(Self { child, stop })
    }

    /// Waits for a signal, but not longer than `until`.
    pub(super) fn wait(&self, until: Option<Instant>) -> Woken {
        // Rounded up, or we would wake a moment early and spin.
        let left =
            until.map(|until| until.saturating_duration_since(Instant::now()) + Duration::from_micros(50));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [
            PollFd::new(&self.child, PollFlags::IN),
            PollFd::new(&self.stop, PollFlags::IN),
        ];
        // Interrupted by a signal: the caller looks, and waits again.
        rustix::event::poll(&mut fds, left.as_ref()).ok();
        drain(&self.child);
        Woken {
            stop: drain(&self.stop),
        }
    }
}

fn drain(mut pipe: &UnixStream) -> bool {
    let mut any = false;
    let mut buffer = [0; 64];
    while pipe.read(&mut buffer).is_ok_and(|n| n > 0) {
        any = true;
    }
    any
}
