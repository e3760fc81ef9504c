//! Stores that cannot be written, disks that are full, databases that go and come back.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Cairn, Running, postgres, until};

use super::{all_ran_once, folder, ran, run, with_command};

/// A small disk, gone when this goes away.
struct Disk(PathBuf);

impl Disk {
    /// `None`, which is said, where this user may not mount.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        writeln!(std::io::stderr(), "skipped: only root can mount a small disk").ok();
        None
    }

    fn resize(&self, size: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={size}")]).arg(&self.0);
        assert!(mount.status().is_ok_and(|status| status.success()));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_store_that_cannot_be_is_named_with_the_way_out() {
    let cairn = folder(&[]);
    cairn.write("text", "no database\n".repeat(1000));
    for (store, wanted) in [
        (
            "text/cairn.db",
            "the store failed: text/cairn.db: its folder cannot be made: File exists (os error 17); choose another place with --store",
        ),
        ("text", "the store failed: text: file is not a database; choose another place with --store"),
        (".", "the store failed: .: Is a directory (os error 21); choose another place with --store"),
        ("mysql://x", "the store failed: `mysql://x` is no store; use a path, sqlite:PATH or postgres://..."),
        (
            "postgres://me:secret@127.0.0.1:1/x",
            "the store is unavailable: cannot reach PostgreSQL at 127.0.0.1:1/x: Connection refused (os error 111); is it \
             running? --store names another place",
        ),
    ] {
        let output = cairn.run(["run", "experiment.yaml", "--store", store]);
        assert_eq!((output.code, &*output.stderr), (Some(1), &*format!("error: {wanted}\n")), "{store}");
    }
    let mut elsewhere = cairn.command(["run".into(), cairn.at("experiment.yaml")]);
    elsewhere.current_dir("/proc");
    let output = Running::start(elsewhere).end();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output
            .stderr
            .starts_with("error: the store failed: /proc/.cairn/cairn.db: its folder cannot be made: ")
    );
    let strange = cairn.read("text").unwrap();
    assert!(strange.starts_with("no database") && ran(&cairn).is_empty());
}

#[test]
fn a_disk_that_is_full_is_waited_for() {
    let cairn = folder(&[("maxTrialCount: 4", "maxTrialCount: 40")]);
    let Some(disk) = Disk::mount(&cairn.at("disk"), "400k") else { return };
    let running = cairn.start(["run", "experiment.yaml", "--store", "disk/cairn.db"]);
    running.said("database or disk is full; free some space");
    std::thread::sleep(std::time::Duration::from_secs(1));
    disk.resize("8m");
    running.end().ok();
    let cairn = cairn.with("CAIRN_STORE", "disk/cairn.db");
    all_ran_once(&cairn, 40);
    let rows = cairn.run(["export", "demo", "--observations"]).ok().stdout;
    assert_eq!(rows.lines().count(), 1 + 40);
}

#[test]
fn a_trial_that_fills_its_disk_fails_and_says_so() {
    let script = "yes | head -c 1000000 || exit 1; echo loss=${trialParameters.lr}";
    let edits = [
        ("parallelTrialCount: 2", "parallelTrialCount: 1"),
        ("maxFailedTrialCount: 2", "maxFailedTrialCount: 1"),
    ];
    let cairn = with_command(script, &edits);
    let Some(_disk) = Disk::mount(&cairn.at("disk"), "300k") else { return };
    let output = cairn.run(["run", "experiment.yaml", "--dir", "disk", "--store", "cairn.db"]);
    assert_eq!(output.code, Some(3), "{output}");
    assert!(
        output.stderr.contains("1 of 1 failed alike: Trial has failed. Job message: exit code 1"),
        "{output}"
    );
}

#[test]
fn a_trial_whose_model_fills_its_disk_counts_and_the_disk_is_named() {
    let script = "(echo loss=${trialParameters.lr}; yes | head -c 1000000 > $CAIRN_MODEL_DIR/m; true)";
    let edits = [
        ("parallelTrialCount: 2", "parallelTrialCount: 1"),
        ("maxTrialCount: 4", "maxTrialCount: 1"),
        ("maxFailedTrialCount: 2", "maxFailedTrialCount: 1"),
    ];
    let cairn = with_command(script, &edits);
    let Some(_disk) = Disk::mount(&cairn.at("disk"), "300k") else { return };
    cairn.run(["run", "experiment.yaml", "--dir", "disk", "--store", "cairn.db"]).ok();
    let cairn = cairn.with("CAIRN_STORE", "cairn.db");
    let trials = cairn.trials("demo");
    assert_eq!(trials[0]["state"], "Succeeded", "{trials:?}");
    let explained = cairn.run(["explain", "demo", "0"]).ok().stdout;
    assert!(
        explained.contains("its model is not kept: /") && explained.contains("No space left"),
        "{explained}"
    );
}

#[test]
fn a_disk_without_room_for_runs_is_said_once_and_waited_for() {
    let cairn = folder(&[]);
    let Some(disk) = Disk::mount(&cairn.at("disk"), "8k") else { return };
    let running = cairn.start(["run", "experiment.yaml", "--dir", "disk", "--store", "cairn.db"]);
    running.said("No space left on device");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(running.stderr().matches("No space left on device").count() <= 4, "{}", running.stderr());
    disk.resize("8m");
    running.end().ok();
    all_ran_once(&cairn.with("CAIRN_STORE", "cairn.db"), 4);
}

#[test]
fn a_postgresql_that_goes_and_comes_back_costs_nothing() {
    let server = postgres::Server::start();
    let cairn: Cairn = with_command(
        "echo $CAIRN_TRIAL_NAME >> ran\nwhile ! test -e go; do sleep 0.01; done\necho loss=${trialParameters.lr}",
        &[("maxTrialCount: 4", "maxTrialCount: 6")],
    )
    .with("CAIRN_STORE", server.database("gone"));
    let running = cairn.start(["run", "experiment.yaml"]);
    until("two trials run", || (ran(&cairn).len() == 2).then_some(()));
    server.down();
    // They end while nobody can write that down.
    cairn.write("go", "");
    running.said("the experiment waits and is loaded anew");
    server.up();
    running.end().ok();
    all_ran_once(&cairn, 6);
    // A second one is told at once that it is gone.
    server.down();
    let output = run(&cairn);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("cannot reach PostgreSQL at 127.0.0.1:"), "{output}");
    server.up();
    assert_eq!(run(&cairn).ok().code, Some(0));
}
