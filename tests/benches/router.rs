//! What the router adds to talking with a small server directly, and what nginx adds: `cargo bench -p e2e --bench router`,
//! and `-- 500` for 500 requests a second.
//!
//! Open loop: requests have their time and are counted from it, whether the one before has been answered or not, so that
//! a pause is paid for by all that wait in it. Direct, router (plain, with every request kept, and with a copy of each for a
//! candidate) and nginx take turns in short blocks, so that what else the machine does falls on all alike. nginx is the one on
//! the path; without one it is left out, which is said.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Cairn, Running, until};

/// Requests a second, unless the first argument says otherwise.
const RATE: u32 = 2000;
/// Connections that take them in turns.
const CONNECTIONS: u32 = 32;
/// How long a block lasts, and how many blocks each has.
const BLOCK: Duration = Duration::from_secs(2);
const BLOCKS: usize = 10;

/// A request for a white image.
fn request(address: SocketAddr) -> Vec<u8> {
    let input =
        serde_json::json!({"name": "pixels", "datatype": "FP64", "shape": [1, 64], "data": vec![0; 64]});
    let body = serde_json::json!({"inputs": [input]}).to_string();
    format!(
        "POST /v2/models/digits/infer HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks once; the answer has to be good.
fn ask(connection: &mut BufReader<TcpStream>, request: &[u8]) -> std::io::Result<()> {
    connection.get_mut().write_all(request)?;
    let (mut line, mut length) = (String::new(), 0);
    connection.read_line(&mut line)?;
    assert!(line.contains(" 200 "), "{line}");
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)
}

/// Latencies of a block at this address, each from the time when its request was due.
fn block(address: SocketAddr, rate: u32) -> Vec<Duration> {
    let request = request(address);
    let begun = Instant::now() + Duration::from_millis(50);
    let all = u32::try_from(BLOCK.as_millis()).unwrap_or(0) * rate / 1000;
    std::thread::scope(|scope| {
        let asking = |first: u32| {
            let request = &request;
            scope.spawn(move || {
                let connection = TcpStream::connect(address).expect("it listens");
                connection.set_nodelay(true).expect("a socket");
                let mut connection = BufReader::new(connection);
                let mut latencies = Vec::new();
                for number in (first..all).step_by(CONNECTIONS as usize) {
                    let due = begun + Duration::from_secs(1) * number / rate;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    ask(&mut connection, request).expect("an answer");
                    latencies.push(due.elapsed());
                }
                latencies
            })
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(asking).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    })
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// A small server with a network that was hardly trained.
fn server(cairn: &Cairn, at: SocketAddr) -> Running {
    let digits = e2e::cairn::binary().with_file_name("digits");
    let trained = Command::new(&digits).arg("--epochs=1").env("CAIRN_MODEL_DIR", cairn.path()).output();
    assert!(trained.expect("it runs").status.success());
    let mut serve = Command::new(digits);
    serve
        .arg("serve")
        .arg(format!("--port={}", at.port()))
        .arg(format!("--model={}", cairn.path().display()));
    Running::start(serve)
}

/// A router with this server behind it. `more` is what else its routes say.
fn router(cairn: &Cairn, server: SocketAddr, more: &serde_json::Value) -> (Running, SocketAddr) {
    let mut routes = serde_json::json!({
        "namespace": "default", "model": "digits", "path": "/v2/models/digits", "generation": 1,
        "backends": [{"name": "only", "address": server.to_string(), "weight": 100}],
    });
    for (word, value) in more.as_object().into_iter().flatten() {
        routes[word] = value.clone();
    }
    cairn.write(".cairn/router/routes/default.digits.json", routes.to_string());
    let router = cairn.start(["router", "--listen", "127.0.0.1:0"]);
    let address = router.said("models are served on http://");
    (router, address.parse().expect("an address"))
}

/// nginx before this server, with what it takes to keep connections to it.
fn nginx(cairn: &Cairn, server: SocketAddr) -> Option<(Running, SocketAddr)> {
    let at = free();
    let here = cairn.path().display();
    let config = format!(
        "daemon off; master_process off; pid {here}/nginx.pid; error_log {here}/nginx.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; client_body_temp_path {here}/b; proxy_temp_path {here}/p; fastcgi_temp_path {here}/f;\n\
         uwsgi_temp_path {here}/u; scgi_temp_path {here}/s; keepalive_requests 1000000;\n\
         upstream model {{ server {server}; keepalive 64; keepalive_requests 1000000; }}\n\
         server {{ listen {at}; location / {{ proxy_pass http://model; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }} }} }}\n"
    );
    let file = cairn.write("nginx.conf", config);
    let is_there =
        |program: &&str| Path::new(program).exists() || Command::new(program).arg("-v").output().is_ok();
    let program = ["nginx", "/usr/sbin/nginx"].into_iter().find(is_there)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file).arg("-p").arg(cairn.path());
    Some((Running::start(command), at))
}

fn main() {
    let rate = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(RATE);
    let cairn = Cairn::new();
    let direct = free();
    let _server = server(&cairn, direct);
    let (keeps, copies) = (Cairn::new(), Cairn::new());
    let kept = serde_json::json!({"log": {"sample": 1.0}});
    let only = |shadow: bool, weight: u32| {
        serde_json::json!({"name": if shadow { "next" } else { "only" },
        "address": direct.to_string(), "weight": weight, "shadow": shadow})
    };
    let copied = serde_json::json!({"backends": [only(false, 100), only(true, 0)]});
    let (_router, routed) = router(&cairn, direct, &serde_json::Value::Null);
    let (_keeping, keeping) = router(&keeps, direct, &kept);
    let (_copying, copying) = router(&copies, direct, &copied);
    let nginx = nginx(&cairn, direct);
    let mut ways = vec![
        ("direct", direct, Vec::new()),
        ("router", routed, Vec::new()),
        ("router, all kept", keeping, Vec::new()),
        ("router, all copied", copying, Vec::new()),
    ];
    match &nginx {
        Some((_, at)) => ways.push(("nginx", *at, Vec::new())),
        None => report("nginx is not on the path and is left out"),
    }
    for (_, at, _) in &ways {
        until("it listens", || TcpStream::connect(at).ok());
        block(*at, rate);
    }
    for _ in 0..BLOCKS {
        for (_, at, latencies) in &mut ways {
            latencies.extend(block(*at, rate));
        }
    }
    let rows: Vec<(&str, [f64; 3])> = ways
        .iter_mut()
        .map(|(name, _, latencies)| {
            latencies.sort_unstable();
            let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize].as_secs_f64() * 1e3;
            (*name, [at(0.5), at(0.95), at(0.99)])
        })
        .collect();
    let added = |row: &[f64; 3], i: usize| row[i] - rows[0].1[i];
    let nginx = rows.iter().find(|(name, _)| *name == "nginx").map(|(_, row)| row);
    for (name, row) in &rows {
        let [median, p95, p99] = row;
        report(&format!(
            "{name}: {rate} a second, median {median:.3} ms, p95 {p95:.3} ms, p99 {p99:.3} ms; adds {:.3} ms at the median, \
             {:.3} ms at p99",
            added(row, 0),
            added(row, 2)
        ));
        if let Some(nginx) = nginx.filter(|_| name.starts_with("router")) {
            report(&format!(
                "{name}: {:.2} times what nginx adds at the median, {:.2} times at p99",
                added(row, 0) / added(nginx, 0),
                added(row, 2) / added(nginx, 2)
            ));
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}
