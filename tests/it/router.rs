//! The router by itself: replaced under requests, and what it passes on.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use e2e::http::get;
use e2e::until;

use crate::serving::{OWN, Traffic, address, image, infer, prepared, run};

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
