//! Servers that do wrong, played by hand; the real one is met in the stories.

use std::sync::Mutex;
use std::time::Duration;

use controller_core::promotion::{Candidate, Target};
use controller_core::run::Model;
use controller_core::time::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// It is always the same time.
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::parse_rfc3339("2026-01-01T12:00:00Z").unwrap()
    }
}

/// What a server does with a request.
#[derive(Clone)]
enum Play {
    /// Says this, and closes.
    Say(String),
    /// Says this and so many bytes more, which it has announced.
    Flood(usize),
    /// Says nothing for as long as anybody waits.
    Hang,
}

fn say(status: &str, more: &str, body: &str) -> Play {
    let length = body.len();
    Play::Say(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\n{body}"))
}

fn ok(body: &str) -> Play {
    say("200 OK", "", body)
}

/// A server; its requests as `METHOD path`, in order.
struct Server {
    uri: String,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start(play: impl Fn(&str) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut answering = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(line) = request(&mut stream).await else { continue };
                noted.lock().unwrap().push(line.clone());
                let play = play(&line);
                answering.spawn(async move { act(stream, play).await });
            }
        });
        Self { uri, asked, _serving: serving }
    }

    fn mlflow(&self) -> Mlflow {
        let mut mlflow = Mlflow::new(&self.uri, true, Arc::new(Noon));
        mlflow.wire = mlflow.wire.within(PATIENCE);
        mlflow
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads a whole request; its method and path without the base.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).await.ok()?;
        text.extend_from_slice(&buffer[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = so_far.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let mut words = head.split(' ');
                let (method, path) = (words.next()?, words.next()?);
                let path = path.trim_start_matches("/api/2.0/mlflow/").split('?').next()?;
                return Some(format!("{method} {path}"));
            }
        }
        if read == 0 {
            return None;
        }
    }
}

async fn act(mut stream: TcpStream, play: Play) {
    match play {
        Play::Say(text) => drop(stream.write_all(text.as_bytes()).await),
        Play::Flood(bytes) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
            let mut left = bytes;
            let mut going = stream.write_all(head.as_bytes()).await;
            while left > 0 && going.is_ok() {
                let piece = vec![b' '; left.min(1 << 16)];
                going = stream.write_all(&piece).await;
                left -= piece.len();
            }
        }
        Play::Hang => std::future::pending().await,
    }
}

fn record() -> Record {
    let version = Version {
        namespace: "default".into(),
        model: "digits".into(),
        number: 3,
        candidate: Candidate {
            artifact: Model { digest: "d1".into(), uri: "file:///m".into(), ..Model::default() },
            experiment: "first".into(),
            experiment_uid: "u1".into(),
            ..Candidate::default()
        },
        ..Version::default()
    };
    let target = Target::Mlflow { uri: String::new(), registry: true };
    Record { target, promotion: 3, by: "ada".into(), at: Timestamp(9), version, replaced: None }
}

/// What comes of a record at a server that always does the same.
async fn outcome(play: Play) -> TargetError {
    let server = Server::start(move |_| play.clone()).await;
    server.mlflow().deliver(&record(), &Measured::default()).await.unwrap_err()
}

fn away(why: &str, after: Option<Duration>) -> TargetError {
    TargetError::Away { why: why.into(), after }
}

#[tokio::test]
async fn every_wrong_answer_has_its_outcome() {
    let closed = |why: &str| TargetError::Closed(why.into());
    let json = |code: &str, message: &str| json!({"error_code": code, "message": message}).to_string();
    // Not let in, and nothing there: a person has to change something, and the record waits.
    let denied = json("PERMISSION_DENIED", "ask ada");
    assert_eq!(
        outcome(say("401 Unauthorized", "", "")).await,
        closed("it does not let us in (401 Unauthorized)")
    );
    assert_eq!(
        outcome(say("403 Forbidden", "", &denied)).await,
        closed("it does not let us in (403 Forbidden): ask ada")
    );
    assert_eq!(
        outcome(say("404 Not Found", "", "<html>nginx</html>")).await,
        closed("there is nothing that we know at this address (404 Not Found)")
    );
    assert_eq!(
        outcome(say("302 Found", "Location: https://login.example.org/?token=geheim\r\n", "")).await,
        closed("it sends us to `https://login.example.org/` (302 Found); write that address")
    );
    assert!(
        matches!(outcome(ok("<html>welcome</html>")).await, TargetError::Closed(why) if why.contains("no MLflow"))
    );
    // Refused for what it is.
    let wrong = json("INVALID_PARAMETER_VALUE", "no such\nthing");
    assert_eq!(
        outcome(say("400 Bad Request", "", &wrong)).await,
        TargetError::Refused("it refuses this (400 Bad Request): no such thing".into())
    );
    // Not by MLflow: somebody else is asked.
    let page = "<html>The plain HTTP request was sent to HTTPS port</html>";
    assert_eq!(
        outcome(say("400 Bad Request", "", page)).await,
        closed("what answers there refuses (400 Bad Request)")
    );
    assert_eq!(
        outcome(say("405 Method Not Allowed", "", "")).await,
        closed("what answers there refuses (405 Method Not Allowed)")
    );
    // Later it may go.
    assert_eq!(outcome(say("409 Conflict", "", "")).await, away("it answers 409 Conflict", None));
    assert_eq!(
        outcome(say("429 Too Many Requests", "Retry-After: 90\r\n", "slow down")).await,
        away("it answers 429 Too Many Requests: slow down", Some(Duration::from_secs(90)))
    );
    assert_eq!(
        outcome(say("503 Service Unavailable", "Retry-After: Thu, 01 Jan 2026 12:01:00 GMT\r\n", "")).await,
        away("it answers 503 Service Unavailable", Some(Duration::from_mins(1)))
    );
    assert_eq!(
        outcome(say("500 Internal Server Error", "", "<html>")).await,
        away("it answers 500 Internal Server Error", None)
    );
    assert_eq!(outcome(Play::Hang).await, away("it has not answered within 5s", None));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_does_not_end_is_no_answer() {
    let half = Play::Say("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"experiment\":".into());
    let TargetError::Away { why, .. } = outcome(half).await else { panic!("it is away") };
    assert!(why.starts_with("its answer breaks off: "), "{why}");
    let head = Play::Say("HTTP/1.1 200 OK\r\nConte".into());
    let TargetError::Away { why, .. } = outcome(head).await else { panic!("it is away") };
    assert!(why.starts_with("it cannot be reached: "), "{why}");
    // A hundred megabytes are not read to their end.
    let flood = outcome(Play::Flood(100 << 20)).await;
    assert_eq!(flood, away("its answer is longer than 8 MiB", None));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mlflow = Mlflow::new(&uri, true, Arc::new(Noon));
    let error = mlflow.deliver(&record(), &Measured::default()).await.unwrap_err();
    assert!(matches!(&error, TargetError::Away { why, .. } if why.contains("refused")), "{error}");
}

#[tokio::test]
async fn whoever_makes_the_experiment_first_has_made_it_for_both() {
    let absent = json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": ""}).to_string();
    let exists = json!({"error_code": "RESOURCE_ALREADY_EXISTS", "message": ""}).to_string();
    let looked = Mutex::new(0);
    let server = Server::start(move |line| match line {
        "GET experiments/get-by-name" => {
            let mut looked = looked.lock().unwrap();
            *looked += 1;
            if *looked == 1 {
                say("404 Not Found", "", &absent)
            } else {
                ok(r#"{"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}"#)
            }
        }
        "POST experiments/create" | "POST registered-models/create" => say("400 Bad Request", "", &exists),
        "GET registered-models/get" => say("404 Not Found", "", &absent),
        "POST runs/search" => ok(r#"{"runs": [{"info": {"run_id": "r1"}}]}"#),
        "GET model-versions/search" => ok(r#"{"model_versions": [{"version": "5"}]}"#),
        _ => ok("{}"),
    })
    .await;
    server.mlflow().deliver(&record(), &Measured::default()).await.unwrap();
    let asked = server.asked();
    // What was there under its key is made no second time.
    assert!(!asked.iter().any(|line| line.contains("runs/create") || line.contains("model-versions/create")));
    assert_eq!(asked.last().unwrap(), "POST registered-models/alias");
}

#[tokio::test]
async fn a_deleted_experiment_is_left_to_whoever_deleted_it() {
    let server =
        Server::start(|_| ok(r#"{"experiment": {"experiment_id": "7", "lifecycle_stage": "deleted"}}"#))
            .await;
    let error = server.mlflow().deliver(&record(), &Measured::default()).await.unwrap_err();
    assert!(
        matches!(&error, TargetError::Refused(why) if why.contains("restore --experiment-id 7")),
        "{error}"
    );
}

#[test]
fn what_lets_us_in_is_shown_to_its_own_server_alone() {
    let of = |name: &str| {
        Some(match name {
            "MLFLOW_TRACKING_URI" => "https://mlflow.example.org/".to_owned(),
            "MLFLOW_TRACKING_USERNAME" => "ada".to_owned(),
            "MLFLOW_TRACKING_PASSWORD" => "x".to_owned(),
            _ => return None,
        })
    };
    assert_eq!(authorization("https://mlflow.example.org", of).unwrap(), "Basic YWRhOng=");
    assert_eq!(authorization("https://mlflow.example.com", of), None);
    let token = |name: &str| match name {
        "MLFLOW_TRACKING_TOKEN" => Some("t".to_owned()),
        "MLFLOW_TRACKING_USERNAME" => None,
        other => of(other),
    };
    assert_eq!(authorization("https://mlflow.example.org", token).unwrap(), "Bearer t");
}
