//! The quick start of the README.

use e2e::Cairn;

#[test]
fn the_quick_start_trains_digits_and_leaves_a_model() {
    let cairn = Cairn::new();
    let file = cairn.example("digits");
    let output = cairn.run(["run", &file, "-o", "json"]).ok();
    let best = output.json();
    assert!(best["value"].as_f64().unwrap() > 0.97, "{output}");
    let model = best["model"]["uri"].as_str().unwrap().strip_prefix("file://").unwrap();
    assert!(std::path::Path::new(model).read_dir().unwrap().count() > 0, "{output}");
    assert_eq!(best["model"]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(cairn.trials("digits").len(), 24);
    // The same command again only tells the result.
    let again = cairn.run(["run", &file, "-o", "json"]).ok();
    assert_eq!(again.json(), best);
    assert_eq!(cairn.trials("digits").len(), 24);
    // How a trial was run is written down, so that it can be run by hand.
    let folder = std::path::Path::new(best["place"].as_str().unwrap());
    let by_hand = std::process::Command::new(folder.join("command.sh"))
        .env("PATH", format!("{}:{}", e2e::target().display(), std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    let last = |text: &[u8]| String::from_utf8_lossy(text).lines().last().map(str::to_owned);
    assert_eq!(last(&by_hand.stdout), last(&std::fs::read(folder.join("output.log")).unwrap()));
}
