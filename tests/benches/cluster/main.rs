//! What experiments on Kubernetes cost, with a real control plane and pods that are only played:
//! `cargo bench -p e2e --bench cluster` for all parts, `-- jobs 200` for one of another size. It needs
//! `tests/cluster/cluster build kubernetes kwok`.
//!
//! - `jobs`: 1,000 trials of a Job that does nothing, 30 at a time, beside the same Jobs made by a client one as soon as
//!   another ends. Both on the same machine one after the other, so that the ratio counts, not the seconds.
//! - `many`: 120 experiments of 30 such trials at once.
//! - `large`: one experiment of 20,000 trials of a kind whose objects are played here; the largest object of each kind.
//! - `restart`: a restart over 1,000 finished experiments.
//!
//! Controllers and scheduler may ask as often as they like (`tests/cluster`), else only their throttle is measured.

mod played;
mod world;

use std::time::{Duration, Instant};

use played::{Played, plainly};
use world::{World, experiment};

/// Measures a part, of a size.
type Measure = fn(u64);

/// Trials at once.
const PARALLEL: u64 = 30;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let size = |usual: u64| words.iter().find_map(|word| word.parse().ok()).unwrap_or(usual);
    let wanted = |part: &str| {
        let mut parts = words.iter().filter(|word| word.parse::<u64>().is_err()).peekable();
        parts.peek().is_none() || parts.any(|word| word == part)
    };
    e2e::cairn::binary();
    let parts: [(&str, Measure, u64); 4] =
        [("jobs", jobs, 1000), ("many", many, 120), ("large", large, 20_000), ("restart", restart, 1000)];
    for (part, measure, usual) in parts {
        if wanted(part) {
            measure(size(usual));
        }
    }
}

/// Trials beside bare Jobs.
fn jobs(n: u64) {
    let Some(world) = World::begin("jobs") else { return };
    let bare = plainly(&world, n, PARALLEL);
    let server = world.serve();
    let played = Played::jobs(&world, &server);
    let begun = Instant::now();
    world.apply(&experiment("bench", n, PARALLEL, &world::job()));
    let done = world.until_succeeded("bench");
    let own = begun.elapsed().as_secs_f64();
    report(&format!(
        "jobs: {n} trials, {PARALLEL} at a time: bare Jobs {bare:.1} s, Cairn {own:.1} s, ratio {:.2}; {} without metrics",
        own / bare,
        done["status"]["trialMetricsUnavailable"].as_u64().unwrap_or(0),
    ));
    world.report_writes("jobs", n);
    server.report_costs("jobs", n);
    drop(played);
}

/// Many experiments at once.
fn many(n: u64) {
    let Some(world) = World::begin("many") else { return };
    let server = world.serve();
    let played = Played::jobs(&world, &server);
    let begun = Instant::now();
    for i in 0..n {
        world.create("experiments", &experiment(&format!("bench-{i}"), PARALLEL, PARALLEL, &world::job()));
    }
    let submitted = begun.elapsed();
    let (mut ended, mut last, mut longest) = (0, Instant::now(), Duration::ZERO);
    let all = n * PARALLEL;
    while ended < all {
        std::thread::sleep(Duration::from_millis(200));
        let now = world.ended_trials();
        if now > ended {
            longest = longest.max(last.elapsed());
            (ended, last) = (now, Instant::now());
        }
        assert!(
            last.elapsed() < world::STALLED,
            "stalled: {ended} of {all} trials have ended\n{}",
            server.stderr()
        );
    }
    let begun = begun.elapsed().as_secs_f64();
    report(&format!(
        "many: {n} experiments of {PARALLEL} trials at once, submitted in {:.1} s: all {all} ended after {begun:.1} s, \
         no trial for at most {:.1} s",
        submitted.as_secs_f64(),
        longest.as_secs_f64(),
    ));
    world.report_writes("many", all);
    server.report_costs("many", all);
    drop(played);
}

/// One large experiment.
fn large(n: u64) {
    let Some(world) = World::begin("large") else { return };
    world.define_things();
    let server = world.serve();
    let played = Played::things(&world, &server);
    let begun = Instant::now();
    world.apply(&experiment("bench", n, PARALLEL, &world::thing()));
    let half = world.until_trials("bench", n / 2);
    let sizes = world.largest();
    world.until_succeeded("bench");
    report(&format!(
        "large: {n} trials, {PARALLEL} at a time: {:.1} s, the second half in {:.1} s",
        begun.elapsed().as_secs_f64(),
        half.elapsed().as_secs_f64(),
    ));
    for (when, sizes) in [("half way", sizes), ("at its end", world.largest())] {
        report(&format!("  largest objects {when}, in bytes: {sizes:?}"));
    }
    world.report_writes("large", n);
    server.report_costs("large", n);
    drop(played);
}

/// A restart over finished experiments.
fn restart(n: u64) {
    let Some(world) = World::begin("restart") else { return };
    world.define_things();
    let server = world.serve();
    let played = Played::things(&world, &server);
    for i in 0..n {
        world.create("experiments", &experiment(&format!("bench-{i}"), 1, 1, &world::thing()));
    }
    while world.ended_trials() < n {
        std::thread::sleep(Duration::from_millis(500));
    }
    drop(played);
    // What was to be written of the last ones is.
    std::thread::sleep(Duration::from_secs(10));
    drop(server);
    let before = world.writes();
    let server = world.serve();
    std::thread::sleep(Duration::from_secs(30));
    let after = world.writes();
    report(&format!("restart: over {n} finished experiments, objects written in 30 s: {}", after - before));
    let begun = Instant::now();
    world.apply(&experiment("new", 1, 1, &world::thing()));
    world.until_taken_in("new");
    report(&format!("  another is taken in after {:.2} s", begun.elapsed().as_secs_f64()));
    server.report_costs("restart", n);
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}
