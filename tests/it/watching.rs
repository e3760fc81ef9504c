//! What is served is looked at: who was right, and whether requests are still as the data that was learnt from.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use e2e::http::{Answer, ask, get};
use e2e::{Cairn, PATIENCE, until};
use serde_json::{Value, json};

use crate::serving::{OWN, address, experiment, model, newest, prepared, run};

/// The pictures that the trials learn from and are tested on.
const DIGITS: &str = include_str!("../examples/digits/digits.txt");

/// A picture: its digit, and pixels from 0 to 16.
fn picture(i: usize) -> (u32, Vec<f64>) {
    let line = DIGITS.lines().nth(i % 1797).unwrap();
    let (digit, pixels) = line.split_once(' ').unwrap();
    let pixel = |c: char| f64::from(c.to_digit(17).unwrap());
    (digit.parse().unwrap(), pixels.chars().map(pixel).collect())
}

fn infer((host, path): &(String, String), id: &str, pictures: &[Vec<f64>]) -> Answer {
    let data = pictures.concat();
    let shape = [pictures.len(), 64];
    let body = json!({"inputs": [{"name": "pixels", "datatype": "FP64", "shape": shape, "data": data}]});
    ask(host, "POST", path, &[("content-type", "application/json"), ("x-request-id", id)], &body.to_string())
}

/// Asks about two hundred pictures from all over the data; of each, `change` makes another.
fn window(address: &(String, String), change: impl Fn(&mut [f64])) {
    for batch in 0..4 {
        let of = |i: usize| {
            let (_, mut pixels) = picture((batch * 50 + i) * 9 % 1797);
            change(&mut pixels);
            pixels
        };
        let pictures: Vec<Vec<f64>> = (0..50).map(of).collect();
        assert_eq!(infer(address, "", &pictures).status, 200);
    }
}

fn brighten_the_corner(pixels: &mut [f64]) {
    pixels[0] = 16.0;
}

/// The quick start's server, of whose requests all are kept.
fn watched(more: &str) -> String {
    format!("{OWN}\n      watch: {{log: {{sample: 1}}, drift: {{window: 200}}{more}}}")
}

fn watch(cairn: &Cairn) -> Value {
    cairn.run(["models", "watch", "digits", "-o", "json"]).ok().json()
}

/// Somebody who is told of breaches: takes the second call of each two, and hands on what it says.
fn listener() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let (told, hears) = channel();
    std::thread::spawn(move || {
        for (i, connection) in listener.incoming().enumerate() {
            let connection = connection.unwrap();
            let mut reader = BufReader::new(&connection);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end().split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.trim().parse().unwrap();
                    }
                    _ if line.trim_end().is_empty() => break,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = if i % 2 == 0 { "503 Service Unavailable" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            (&connection).write_all(head.as_bytes()).unwrap();
            if i % 2 == 1 && told.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, hears)
}

#[test]
fn labels_show_how_often_each_version_is_right() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &watched("")).ok();
    let address = address(&cairn);
    let (mut lines, mut right) = (String::new(), 0);
    for i in 0..40 {
        let (digit, pixels) = picture(i * 31);
        let id = format!("picture-{i}");
        let answer = infer(&address, &id, &[pixels]);
        assert_eq!(answer.header("x-request-id"), Some(id.as_str()), "{answer:?}");
        right += u64::from(answer.json()["outputs"][1]["data"][0] == digit);
        lines.push_str(&format!("{}\n", json!({"requestId": id, "label": digit})));
    }
    let made = infer(&address, "no id, for its spaces", &[picture(0).1]);
    let made = made.header("x-request-id").unwrap().to_owned();
    assert!(
        !made.contains(' ') && made != infer(&address, "", &[picture(0).1]).header("x-request-id").unwrap()
    );
    lines.push_str(
        "{\"requestId\": \"never-asked\", \"label\": 3}\n{\"requestId\": \"picture-0\", \"label\": 3}\n",
    );
    cairn.write("labels.jsonl", &lines);
    until("all are written", || (watch(&cairn)["servers"][0]["kept"] == 42).then_some(()));
    let told = cairn.run(["models", "feedback", "digits", "--file", "labels.jsonl"]).ok();
    assert!(
        told.stdout.contains("40 labels found their request; 1 were known already, 1 requests were not kept"),
        "{told}"
    );
    let again = cairn.run(["models", "feedback", "digits", "--file", "labels.jsonl"]).ok();
    assert!(again.stdout.starts_with("0 labels found their request; 41 were known"), "{again}");
    let server = watch(&cairn)["servers"][0].clone();
    assert_eq!((&server["labelled"], &server["requests"]), (&json!(40), &json!(42)), "{server}");
    assert_eq!(server["quality"], json!(right as f64 / 40.0), "{server}");
    let shown = cairn.run(["models", "watch", "digits"]).ok();
    assert!(shown.stdout.contains(" of 40") && shown.stdout.contains("42 of 200 rows"), "{shown}");
    let page = get(&address.0, "/metrics").body;
    assert!(page.contains("cairn_router_log_written_total 42"), "{page}");
    cairn.write("wrong.jsonl", "{\"label\": 3}\n");
    let wrong = cairn.run(["models", "feedback", "digits", "--file", "wrong.jsonl"]);
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert!(wrong.stderr.contains("line 1: it has no `requestId`"), "{wrong}");
}

#[test]
fn drift_names_the_feature_and_is_told_once_whatever_is_restarted() {
    let cairn = prepared();
    let (url, hears) = listener();
    run(&cairn, "first", 8, "", &watched(&format!(", webhook: \"{url}\""))).ok();
    let address = address(&cairn);
    let (mut server, api) = cairn.serve(&[]);
    window(&address, |_| {});
    let drifted = until("the window is judged", || watch(&cairn)["servers"][0]["drifted"].as_bool());
    assert!(!drifted, "what is not shifted has drifted: {}", watch(&cairn));
    window(&address, brighten_the_corner);
    let told = hears.recv_timeout(PATIENCE).expect("the second call is taken");
    assert_eq!((&told["event"], &told["model"]), (&json!("drift"), &json!("digits")), "{told}");
    assert_eq!(told["features"][0]["feature"], "inputs.pixels[0]", "{told}");
    let seen = watch(&cairn);
    assert_eq!((&seen["nBreaches"], &seen["servers"][0]["drifted"]), (&json!(1), &json!(true)), "{seen}");
    let shown = cairn.run(["models", "watch", "digits"]).ok();
    assert!(shown.stdout.contains("inputs.pixels[0] (p ") && shown.stdout.contains("alert"), "{shown}");
    let audit = cairn.run(["audit", "list"]).ok();
    assert!(audit.stdout.contains("drifted") && audit.stdout.contains("inputs.pixels[0]"), "{audit}");
    let page = get(&api, "/metrics").body;
    let counter = "cairn_model_breaches_total{namespace=\"default\",model=\"digits\"} 1";
    assert!(page.contains(counter), "{page}");
    // What goes on is no news, neither to the next server.
    server.kill();
    let (_again, _) = cairn.serve(&[]);
    window(&address, brighten_the_corner);
    until("the next window is judged", || (watch(&cairn)["servers"][0]["kept"] == 12).then_some(()));
    assert_eq!(watch(&cairn)["nBreaches"], 1);
    assert!(hears.try_recv().is_err(), "it is told once");
    let verified = cairn.run(["audit", "verify"]).ok();
    assert!(verified.stdout.contains("every one as it was written"), "{verified}");
}

#[test]
fn drift_may_want_the_version_before_back() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &watched("")).ok();
    run(&cairn, "second", 24, "", &watched(", onBreach: rollback")).ok();
    let address = address(&cairn);
    assert_eq!(model(&cairn)["champion"], 2);
    let _server = cairn.serve(&[]);
    window(&address, brighten_the_corner);
    until("it is gone back", || (model(&cairn)["champion"] == 1).then_some(()));
    let promotion = newest(&cairn);
    assert_eq!(
        (&promotion["backTo"], &promotion["author"]),
        (&json!(1), &json!("cairn, for drift")),
        "{promotion}"
    );
    let seen = watch(&cairn);
    assert_eq!(seen["breaches"][0]["done"], "rollback to version 1", "{seen}");
}

#[test]
fn drift_may_start_an_experiment_whose_winner_takes_the_usual_way() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &watched(", onBreach: {start: first}")).ok();
    let address = address(&cairn);
    let _server = cairn.serve(&[]);
    window(&address, brighten_the_corner);
    until("its winner is looked at", || (newest(&cairn)["number"] == 2).then_some(()));
    let (promotion, seen) = (newest(&cairn), watch(&cairn));
    let name = promotion["experiment"].as_str().unwrap();
    assert_eq!(seen["breaches"][0]["done"], format!("experiment `{name}` started"), "{seen}");
    assert!(name.starts_with("first-"), "{promotion}");
    until("it has ended", || (newest(&cairn)["ended"] == true).then_some(()));
}

#[test]
fn drift_begins_a_run_of_the_schedules_that_heed_it() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &watched("")).ok();
    let schedule = |name: &str, heeds: bool| {
        let spec = format!("spec:\n  schedule: {{cron: \"0 0 1 1 *\", onDrift: {heeds}}}\n");
        let text = experiment(name, 8, "", &watched("")).replacen("spec:\n", &spec, 1);
        cairn.write("schedule.yaml", text);
        cairn.run(["submit", "schedule.yaml"]).ok();
    };
    schedule("heeds", true);
    schedule("yearly", false);
    let address = address(&cairn);
    let _server = cairn.serve(&[]);
    window(&address, brighten_the_corner);
    until("a run is made", || (cairn.run(["get", "heeds-1"]).code == Some(0)).then_some(()));
    let seen = watch(&cairn);
    assert_eq!(seen["breaches"][0]["done"], "alert; schedule `heeds` asked for a run", "{seen}");
    until("its winner is looked at", || (newest(&cairn)["experiment"] == "heeds-1").then_some(()));
    assert_ne!(cairn.run(["get", "yearly-1"]).code, Some(0));
}

#[test]
fn a_candidate_that_is_wrong_more_often_is_sent_back() {
    let cairn = prepared();
    let ladder =
        "\n      canary: [50, 100]\n      minRequests: 2000\n      guards: [{quality: {worseBy: 0.05}}]";
    run(&cairn, "first", 24, "", &format!("{}{ladder}", watched(""))).ok();
    let address = address(&cairn);
    // It sees a nought almost everywhere, and says nothing of what its sample is.
    let poison = format!(
        r#"sed -i 's/"second":\[\([^,]*,\)\{{17\}}/"second":[{}/' network.json; sed -i /expected/d model.yaml"#,
        "9,".repeat(17)
    );
    cairn.write("bad.yaml", experiment("bad", 16, &poison, &format!("{}{ladder}", watched(""))));
    let bad = cairn.start(["run", "bad.yaml"]);
    until("it gets requests", || (newest(&cairn)["rollout"]["phase"] == "canary").then_some(()));
    let mut asked = 0;
    until("it is sent back", || {
        let mut lines = String::new();
        for _ in 0..40 {
            let ((digit, pixels), id) = (picture(asked * 7), format!("picture-{asked}"));
            assert_eq!(infer(&address, &id, &[pixels]).status, 200);
            lines.push_str(&format!("{}\n", json!({"requestId": id, "label": digit})));
            asked += 1;
        }
        cairn.write("labels.jsonl", &lines);
        cairn.run(["models", "feedback", "digits", "--file", "labels.jsonl"]).ok();
        (newest(&cairn)["ended"] == true).then_some(())
    });
    let output = bad.end();
    assert_eq!(output.code, Some(3), "{output}");
    let promotion = newest(&cairn);
    assert!(promotion["message"].as_str().unwrap().starts_with("quality: "), "{promotion}");
    assert_eq!(model(&cairn)["champion"], 1);
}

#[test]
fn what_is_wrong_with_watching_is_said_at_once() {
    let cairn = Cairn::new();
    let said = |watch: &str, words: &[&str]| {
        cairn.write("wrong.yaml", experiment("wrong", 8, "", &format!("{OWN}\n      watch: {watch}")));
        let output = cairn.run(["validate", "wrong.yaml"]);
        assert_eq!(output.code, Some(2), "{output}");
        for word in words {
            assert!(output.stderr.contains(word), "{word}: {output}");
        }
    };
    said(
        "{log: {sample: 2, keep: soon}, drift: {window: 5, threshold: 1}, onBreach: shout, webhook: alerts}",
        &[
            "2 is no share",
            "`soon` is no duration",
            "5 rows say too little",
            "1 is not between 0 and 0.5",
            "\"shout\" is nothing to do",
            "`alerts` is no address of HTTP",
        ],
    );
    said("{webhook: \"http://alerts:9000\"}", &["no request is kept, so there is nothing to look at"]);
    let missing = cairn.run(["models", "watch", "digits"]);
    assert!(missing.code != Some(0) && missing.stderr.contains("model `digits` is not served"), "{missing}");
}
