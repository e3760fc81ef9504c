//! The router by itself: replaced under requests, and what it passes on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use e2e::http::get;
use e2e::{Cairn, until};

use crate::serving::{OWN, Traffic, address, experiment, image, infer, prepared, run, started};

/// Asks on one connection again and again, and opens another where an answer says that it was the last there. How many
/// were answered, on how many connections; the first failure ends it.
fn keep_asking(
    (host, path): (String, String),
    stop: Arc<AtomicBool>,
) -> JoinHandle<std::io::Result<(u64, u64)>> {
    std::thread::spawn(move || {
        let body = image(0.0);
        let (mut answered, mut connections) = (0, 0);
        while !stop.load(Relaxed) {
            let stream = TcpStream::connect(&host[7..])?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            let mut stream = BufReader::new(stream);
            connections += 1;
            let mut is_last = false;
            while !is_last && !stop.load(Relaxed) {
                let length = body.len();
                let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
                stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
                is_last = answer(&mut stream)?;
                answered += 1;
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        Ok((answered, connections))
    })
}

/// Reads an answer; whether it is the last on its connection.
fn answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    let (mut line, mut length, mut is_last) = (String::new(), 0, false);
    stream.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(std::io::Error::other(format!("answered `{line}`")));
    }
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(std::io::Error::other)?,
            "connection" => is_last = value.trim() == "close",
            _ => {}
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    Ok(is_last)
}

#[test]
fn a_router_is_replaced_and_the_controller_killed_and_no_request_fails() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", OWN).ok();
    let address = address(&cairn);
    let (mut server, _) = cairn.serve(&[]);
    let traffic = Traffic::to(&address, 0.0);
    let stop = Arc::new(AtomicBool::new(false));
    let kept: Vec<_> = (0..4).map(|_| keep_asking(address.clone(), Arc::clone(&stop))).collect();
    let more = |n: u64| {
        let before = traffic.answered.load(Relaxed);
        until("requests go on", || (traffic.answered.load(Relaxed) > before + n).then_some(()));
    };
    let begun = || {
        let page = get(&address.0, "/metrics").body;
        page.lines().find(|line| line.starts_with("cairn_router_start_time_seconds ")).map(str::to_owned)
    };
    more(50);
    let first = begun();
    let mut second = cairn.start(["router"]);
    assert_eq!(format!("http://{}", second.said("models are served on http://")), address.0);
    until("the second answers", || (begun() != first).then_some(()));
    more(50);
    server.kill();
    let third = cairn.start(["router"]);
    assert_eq!(format!("http://{}", third.said("models are served on http://")), address.0);
    more(50);
    until("the second has ended", || (!second.is_alive()).then_some(()));
    let refused = cairn.run(["router", "--listen", "127.0.0.1:1"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("stop it first to serve at"), "{refused}");
    more(50);
    stop.store(true, Relaxed);
    for kept in kept {
        let (answered, connections) = kept.join().unwrap().expect("no request fails");
        assert!(answered > 50 && connections >= 3, "{answered} answered on {connections} connections");
    }
    let (answered, failed) = traffic.end();
    assert!(answered > 200 && failed == 0, "{answered} answered, {failed} failed");
    assert_eq!(infer(&address, 0.0).status, 200);
}

#[test]
fn an_upgraded_controller_replaces_the_router_that_it_finds() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", OWN).ok();
    let address = address(&cairn);
    let traffic = Traffic::to(&address, 0.0);
    let (_server, _) = cairn.serve(&[]);
    let begun = || {
        let page = get(&address.0, "/metrics").body;
        page.lines().find(|line| line.starts_with("cairn_router_start_time_seconds ")).map(str::to_owned)
    };
    let first = begun();
    cairn.write(".cairn/router/version", "0.0.0");
    until("another answers", || (begun() != first).then_some(()));
    assert_ne!(std::fs::read_to_string(cairn.at(".cairn/router/version")).unwrap(), "0.0.0");
    let before = traffic.answered.load(Relaxed);
    until("requests go on", || (traffic.answered.load(Relaxed) > before + 50).then_some(()));
    assert_eq!(started(&cairn, "router"), 2);
    let (answered, failed) = traffic.end();
    assert!(answered > 50 && failed == 0, "{answered} answered, {failed} failed");
}

/// What a program of Python says, with the packages of the stories about serving.
pub(crate) fn python(cairn: &Cairn, program: &str, argument: &str) -> String {
    let file = cairn.write("calls.py", program);
    let mut command = std::process::Command::new(e2e::python::with("serving"));
    let output = command.arg(file).arg(argument).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server that says it is ready over HTTP, and over gRPC talks back word by word and has a last word in its trailers.
const TALKER: &str = r#"
import sys, threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
import grpc
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
def talk(words, context):
    for word in words:
        if word == b"fail":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such word")
        yield word.upper()
    context.set_trailing_metadata((("x-last", "bye"),))
rpc = grpc.stream_stream_rpc_method_handler(talk)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Talker", {"Talk": rpc}),))
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"#;

/// Says the next word when the one before has come back.
const TALKS: &str = r#"
import queue, sys, grpc
channel = grpc.insecure_channel(sys.argv[1])
talk = channel.stream_stream("/test.Talker/Talk")
def conversation(words):
    said = queue.Queue()
    call = talk(iter(said.get, None), timeout=30)
    for word in words:
        said.put(word)
        print(next(call).decode(), flush=True)
    said.put(None)
    assert next(call, None) is None
    print(dict(call.trailing_metadata())["x-last"], "x-cairn-version" in dict(call.initial_metadata()))
conversation([b"one", b"two", b"three"])
conversation([b"x" * 200_000])
try:
    list(talk(iter([b"fail"]), timeout=30))
except grpc.RpcError as error:
    print(error.code().name, error.details())
"#;

#[test]
fn calls_of_grpc_stream_both_ways_and_end_with_their_trailers() {
    let cairn = prepared().with_python(&e2e::python::with("serving"));
    let talker = cairn.write("talker.py", TALKER);
    let file = talker.display();
    let serving = format!(
        "\n      template: custom\n      process: {{command: [python3, '{file}', '${{port}}', '${{grpcPort}}', '${{model.path}}']}}"
    );
    cairn.write(
        "talker.yaml",
        experiment("talker", 8, "sed -i -e /sample/d -e /expected/d model.yaml", &serving),
    );
    cairn.run(["run", "talker.yaml"]).ok();
    let address = address(&cairn);
    let said = python(&cairn, TALKS, &address.0[7..]);
    let long = "X".repeat(200_000);
    let wanted = format!("ONE\nTWO\nTHREE\nbye True\n{long}\nbye True\nINVALID_ARGUMENT no such word\n");
    assert!(said == wanted, "{}", said.replace(&long, "X..."));
    // Three calls, of which one failed.
    let page = get(&address.0, "/metrics").body;
    let count = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, count)| count.to_owned())
    };
    assert_eq!(count("cairn_router_requests_total").as_deref(), Some("3"), "{page}");
    assert_eq!(count("cairn_router_errors_total").as_deref(), Some("1"), "{page}");
}
