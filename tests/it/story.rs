//! The example that goes the whole way, run as its README says.

use e2e::{Cairn, Running};

use crate::serving::{model, newest};

/// What a README wants to be run: its blocks of `sh`, one after the other.
fn commands(readme: &str) -> String {
    let blocks = readme.split("\n```sh\n").skip(1);
    let inside = |block: &str| block.split_once("\n```").expect("a block has an end").0.to_owned();
    blocks.map(inside).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_winner_is_served_a_better_one_takes_over_and_a_bad_one_is_sent_back() {
    let cairn = Cairn::new().with("USER", "ada").with("CAIRN_ROUTER", "127.0.0.1:0");
    cairn.example("digits");
    cairn.example("promotion");
    let script = commands(&cairn.read("promotion/README.md").unwrap());
    let mut bash = cairn.program("bash");
    bash.args(["-euo", "pipefail", "-c", &script]);
    let story = Running::start(bash).end().ok();
    for said in [
        "version 1 is the champion",
        r#"{"name":"digit","datatype":"INT64","shape":[1],"data":["#,
        "version 2 is the champion in place of version 1",
        "labels found their request",
        "errorRate: ",
        "inputs.pixels[0] (p ",
        "compared with: version 1",
        "every one as it was written",
    ] {
        assert!(story.stdout.contains(said), "{said}: {story}");
    }
    // Whoever asked while the better one took over was always answered, by both.
    let (before, after) = story.stderr.split_once("experiment `bad` has succeeded").unwrap();
    let answers = |text: &str, of: &str| text.lines().filter(|line| line.contains(of)).count();
    assert!(answers(before, "status 200") >= 2 && answers(before, "status 5") == 0, "{story}");
    assert!(answers(after, "status 5") > 0, "{story}");
    let (model, promotion) = (model(&cairn), newest(&cairn));
    assert_eq!((&model["champion"], &promotion["state"]), (&2.into(), &"rolledBack".into()), "{story}");
    let evidence = &promotion["evidence"];
    assert!(evidence["candidate"]["value"].as_f64().unwrap_or(0.0) > 0.9, "it passed the gate: {evidence}");
}
