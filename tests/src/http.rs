//! Speaking HTTP with a server under test, in plain text over a socket: what is tested is not the client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::PATIENCE;

/// An answer: status, headers and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Asks a server at `http://host:port` and reads the whole answer.
///
/// # Panics
/// If there is no server, or its answer is no HTTP.
pub fn ask(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut reader = open(url, method, path, headers, body);
    let (status, length, headers) = head(&mut reader);
    let mut bytes = Vec::new();
    match length {
        Length::Known(length) => {
            bytes.resize(length, 0);
            reader.read_exact(&mut bytes).expect("the whole body");
        }
        Length::Chunks => {
            while let length @ 1.. = chunk(&mut reader) {
                let begun = bytes.len();
                bytes.resize(begun + length, 0);
                reader.read_exact(&mut bytes[begun..]).expect("a whole chunk");
                reader.read_line(&mut String::new()).expect("its end");
            }
        }
        Length::ToTheEnd => _ = reader.read_to_end(&mut bytes).expect("the whole body"),
    }
    Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned() }
}

/// Asks with GET.
///
/// # Panics
/// As [`ask`].
pub fn get(url: &str, path: &str) -> Answer {
    ask(url, "GET", path, &[], "")
}

/// Opens a stream of server-sent events; each item is one event's lines.
///
/// # Panics
/// If it is refused.
pub fn events(url: &str, path: &str, headers: &[(&str, &str)]) -> impl Iterator<Item = String> {
    let mut reader = open(url, "GET", path, headers, "");
    let (status, ..) = head(&mut reader);
    assert_eq!(status, 200, "the stream is refused");
    let mut event = String::new();
    std::iter::from_fn(move || {
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            // Sizes of chunks stand alone on a line and hold no colon.
            if line.is_empty() && !event.is_empty() {
                return Some(std::mem::take(&mut event));
            }
            if line.contains(':') && !line.starts_with(':') {
                event.push_str(line);
                event.push('\n');
            }
        }
    })
}

fn open(url: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> BufReader<TcpStream> {
    let address = url.strip_prefix("http://").expect("an address such as http://127.0.0.1:1");
    let mut stream = TcpStream::connect(address).expect("there is a server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let host = if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).expect("it listens");
    BufReader::new(stream)
}

/// How it is known where a body ends.
enum Length {
    Known(usize),
    Chunks,
    ToTheEnd,
}

/// Reads the length of the next chunk; the last has none.
fn chunk(reader: &mut BufReader<TcpStream>) -> usize {
    let mut line = String::new();
    reader.read_line(&mut line).expect("the length of a chunk");
    usize::from_str_radix(line.trim(), 16).expect("a length")
}

/// Reads status and headers; how long the body is.
fn head(reader: &mut BufReader<TcpStream>) -> (u16, Length, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status such as 200");
    let (mut length, mut headers) = (Length::ToTheEnd, Vec::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("headers");
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Known(value.trim().parse().expect("a length"));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    (status, length, headers)
}
