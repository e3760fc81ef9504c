//! A door before a server: it lets requests through, is shut, or loses the answers to some of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a door does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It lets everything through.
    Open,
    /// Nobody is there: connections are refused.
    Shut,
    /// Requests whose line holds this text go through, and their answers are lost.
    Lose(&'static str),
}

#[derive(Debug)]
struct State {
    mode: Mode,
    lost: usize,
}

/// A door of an address of its own.
#[derive(Debug)]
pub struct Door {
    /// Its address, such as `http://127.0.0.1:5000`.
    pub url: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Door {
    /// Before the server at `url`.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn before(url: &str) -> Self {
        let server = url.strip_prefix("http://").expect("an address such as http://127.0.0.1:1").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State { mode: Mode::Open, lost: 0 }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || attend(listener, address, &server, &shared));
        Self { url: format!("http://{address}"), address, state }
    }

    /// Does something else from now on.
    pub fn set(&self, mode: Mode) {
        self.state().mode = mode;
        // Whoever waits for the next one looks up.
        TcpStream::connect(self.address).ok();
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.state().lost
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mode(state: &Mutex<State>) -> Mode {
    state.lock().unwrap_or_else(PoisonError::into_inner).mode.clone()
}

fn attend(mut listener: TcpListener, address: SocketAddr, server: &str, state: &Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept() {
        if mode(state) == Mode::Shut {
            drop((listener, stream));
            while mode(state) == Mode::Shut {
                std::thread::sleep(Duration::from_millis(20));
            }
            listener = TcpListener::bind(address).expect("its port is its own");
            continue;
        }
        let (server, state) = (server.to_owned(), Arc::clone(state));
        std::thread::spawn(move || pass(stream, &server, &state));
    }
}

/// Passes one request on, and its answer back.
fn pass(mut from: TcpStream, server: &str, state: &Mutex<State>) -> Option<()> {
    let (head, body) = request(&mut from)?;
    let mut to = TcpStream::connect(server).ok()?;
    // One request a connection, so that its end is the end of the answer.
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    to.write_all(format!("{head}\r\n\r\n").as_bytes()).ok()?;
    to.write_all(&body).ok()?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).ok()?;
    let line = head.lines().next()?;
    if matches!(mode(state), Mode::Lose(text) if line.contains(text)) {
        state.lock().unwrap_or_else(PoisonError::into_inner).lost += 1;
        // Whoever asked waits until it has had enough.
        from.read_to_end(&mut Vec::new()).ok()?;
        return None;
    }
    from.write_all(&answer).ok()?;
    from.shutdown(Shutdown::Both).ok()
}

/// Reads a request: its head without the empty line, and its body.
fn request(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut text, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let mut body = text.split_off(end + 4);
            while body.len() < length.unwrap_or(0) {
                let read = from.read(&mut buffer).ok().filter(|read| *read > 0)?;
                body.extend_from_slice(&buffer[..read]);
            }
            return Some((head, body));
        }
        let read = from.read(&mut buffer).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&buffer[..read]);
    }
}
