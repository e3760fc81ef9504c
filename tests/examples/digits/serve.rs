//! Serves a trained network with the Open Inference Protocol v2 over HTTP/1.1: `digits serve --port=P --model=DIR
//! --name=NAME`. As small as a server can be that a router may trust: connections stay open, bodies may come in chunks.
//! The program of the example `nas` has it too.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

/// Pixels of a picture.
pub(crate) const PIXELS: usize = 64;
/// Digits.
pub(crate) const CLASSES: usize = 10;
/// Pixels of a request go from 0 to this, as those of the data set.
const BRIGHTEST: f64 = 16.0;

/// Gives the chance of each digit for a picture, whose pixels go from 0 to 1.
pub(crate) trait Network: Fn(&[f64]) -> Vec<f64> {}

impl<F: Fn(&[f64]) -> Vec<f64>> Network for F {}

struct Model<N> {
    name: String,
    network: N,
}

/// Serves the network that `load` makes of a model's folder, until it is killed.
pub(crate) fn serve<N: Network + Send + Sync + 'static>(
    arguments: impl Iterator<Item = String>,
    load: impl FnOnce(&Path) -> Result<N, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (mut port, mut folder, mut name) = (0, String::from("."), String::from("digits"));
    for argument in arguments {
        let (option, value) =
            argument.split_once('=').ok_or_else(|| format!("`{argument}` is not --NAME=VALUE"))?;
        match option {
            "--port" => port = value.parse()?,
            "--model" => value.clone_into(&mut folder),
            "--name" => value.clone_into(&mut name),
            _ => return Err(format!("there is no option `{option}`").into()),
        }
    }
    let model = Arc::new(Model { name, network: load(Path::new(&folder))? });
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    writeln!(std::io::stdout(), "serving {} on {}", model.name, listener.local_addr()?)?;
    for connection in listener.incoming() {
        let (connection, model) = (connection?, Arc::clone(&model));
        // Whoever hangs up has no use for an answer.
        std::thread::spawn(move || converse(&connection, &model).ok());
    }
    Ok(())
}

/// Answers one request after the other.
fn converse(connection: &TcpStream, model: &Model<impl Network>) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (method, path) = (method.to_owned(), path.to_owned());
        let body = body(&mut reader)?;
        let (status, answer) = model.answer(&method, &path, &body);
        let text = answer.map(|answer| answer.to_string()).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        let mut writer = connection;
        writer.write_all(&[head.as_bytes(), text.as_bytes()].concat())?;
    }
}

/// Reads headers and body.
fn body(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Vec<u8>> {
    let (mut length, mut in_chunks) = (0, false);
    loop {
        let header = line(reader)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(std::io::Error::other)?,
            "transfer-encoding" => in_chunks = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while in_chunks {
        let size = usize::from_str_radix(&line(reader)?, 16).map_err(std::io::Error::other)?;
        let begun = body.len();
        body.resize(begun + size, 0);
        reader.read_exact(&mut body[begun..])?;
        line(reader)?;
        in_chunks = size > 0;
    }
    Ok(body)
}

fn line(reader: &mut BufReader<&TcpStream>) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

impl<N: Network> Model<N> {
    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (&'static str, Option<Value>) {
        let own = path.strip_prefix("/v2/models/").and_then(|rest| rest.strip_prefix(self.name.as_str()));
        match (method, path, own) {
            ("GET", "/v2/health/live" | "/v2/health/ready", _) | ("GET", _, Some("/ready")) => {
                ("200 OK", None)
            }
            ("GET", _, Some("")) => ("200 OK", Some(self.metadata())),
            ("POST", _, Some("/infer")) => match self.infer(body) {
                Ok(answer) => ("200 OK", Some(answer)),
                Err((status, why)) => (status, Some(json!({"error": why}))),
            },
            _ => ("404 Not Found", Some(json!({"error": format!("there is no {method} {path}")}))),
        }
    }

    fn metadata(&self) -> Value {
        json!({
            "name": self.name,
            "versions": [],
            "platform": "digits",
            "inputs": [{"name": "pixels", "datatype": "FP64", "shape": [-1, PIXELS]}],
            "outputs": [
                {"name": "chances", "datatype": "FP64", "shape": [-1, CLASSES]},
                {"name": "digit", "datatype": "INT64", "shape": [-1]},
            ],
        })
    }

    fn infer(&self, body: &[u8]) -> Result<Value, (&'static str, String)> {
        let bad = |why: String| ("400 Bad Request", why);
        let request: Value = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
        let mut pixels = Vec::new();
        flatten(&request["inputs"][0]["data"], &mut pixels);
        if pixels.is_empty() || !pixels.len().is_multiple_of(PIXELS) {
            return Err(bad(format!("an image has {PIXELS} pixels; there are {}", pixels.len())));
        }
        let (mut all, mut digits) = (Vec::new(), Vec::new());
        for image in pixels.chunks_exact(PIXELS) {
            let image: Vec<f64> = image.iter().map(|pixel| pixel / BRIGHTEST).collect();
            let chances = (self.network)(&image);
            if chances.iter().any(|chance| !chance.is_finite()) {
                return Err(("500 Internal Server Error", "the network overflows on this image".into()));
            }
            digits.push(most_likely(&chances));
            all.extend(chances);
        }
        Ok(json!({
            "model_name": self.name,
            "id": request.get("id").cloned().unwrap_or_default(),
            "outputs": [
                {"name": "chances", "datatype": "FP64", "shape": [digits.len(), CLASSES], "data": all},
                {"name": "digit", "datatype": "INT64", "shape": [digits.len()], "data": digits},
            ],
        }))
    }
}

fn flatten(value: &Value, found: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, found)),
        value => found.extend(value.as_f64()),
    }
}

/// The class with the largest chance.
pub(crate) fn most_likely(chances: &[f64]) -> usize {
    (0..chances.len()).max_by(|a, b| chances[*a].total_cmp(&chances[*b])).unwrap_or(0)
}

/// Leaves a description of the model for whoever serves it, with a request for a picture, and the answer to it.
pub(crate) fn describe(folder: &Path, format: &str, pixels: &[f64], chances: &[f64]) -> std::io::Result<()> {
    let raw: Vec<f64> = pixels.iter().map(|pixel| pixel * BRIGHTEST).collect();
    let input = json!({"name": "pixels", "datatype": "FP64", "shape": [1, PIXELS], "data": raw});
    let outputs = json!([
        {"name": "chances", "datatype": "FP64", "shape": [1, CLASSES], "data": chances},
        {"name": "digit", "datatype": "INT64", "shape": [1], "data": [most_likely(chances)]},
    ]);
    fs::write(folder.join("sample.json"), json!({"inputs": [input]}).to_string())?;
    fs::write(folder.join("expected.json"), json!({"outputs": outputs}).to_string())?;
    let description = format!("format: {format}\nsample: sample.json\nexpected: expected.json\n");
    fs::write(folder.join("model.yaml"), description)
}
