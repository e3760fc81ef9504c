//! Drivers broken off at any point, runs that end as they like, wishes of all kinds, changes that are not heard: whatever
//! happens, what must hold holds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::experiment::Hold;
use controller_core::ports::Wish;
use controller_core::run::{Exit, RunId};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use study::TrialIdx;
use tokio::time::sleep;

use super::endings::{parallel, trials};
use super::executor::Telling;
use super::world::{Spec, Story, WELL};
use crate::driver::{TICK, drive, left_behind, needs_driver};

const SEEDS: u64 = 50;
const ALGORITHMS: [&str; 3] = ["random", "tpe", "sobol"];
/// How long people have wishes.
const RESTLESS: Duration = Duration::from_secs(25);
/// How often the world moves.
const BEAT: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn whatever_happens_what_must_hold_holds() {
    let mut deleted = 0;
    for seed in 0..SEEDS {
        let told = tokio::time::timeout(Duration::from_hours(10), Box::pin(tell(seed))).await;
        deleted += u32::from(told.unwrap_or_else(|_| panic!("the story of seed {seed} has no end")));
    }
    assert!((5..25).contains(&deleted), "{deleted}");
}

/// Tells the story of a seed; whether its experiment was deleted.
async fn tell(seed: u64) -> bool {
    let mut chance = StdRng::seed_from_u64(seed);
    let algorithm = ALGORITHMS[seed as usize % ALGORITHMS.len()];
    let spec = Spec { retries: seed as u32 % 3, ..Spec::of(algorithm, 3, 14) };
    let story = Story::of(&spec).await;
    story.executor.tell(tellings(&mut chance));
    story.executor.be_tardy(seed % 2 == 1);
    let (ends, wishes) = (StdRng::seed_from_u64(seed + 1000), StdRng::seed_from_u64(seed + 2000));
    let calm = Cell::new(false);
    tokio::select! {
        () = drivers(&story, &mut chance, &calm) => {}
        () = runs(&story, ends) => {}
        () = people(&story, wishes, &calm) => {}
    }
    println!("seed {seed}: what is found below is wrong with its story");
    story.audit().await;
    let status = story.status().await;
    assert!(status.is_completed() || status.hold == Hold::Deleting);
    status.hold == Hold::Deleting
}

fn tellings(chance: &mut StdRng) -> Vec<Telling> {
    let all = [Telling::Once, Telling::Once, Telling::Twice, Telling::Never, Telling::Late];
    (0..13).map(|_| all[chance.random_range(0..all.len())]).collect()
}

/// Drivers that break off, one after the other, until nobody wishes anything and there is nothing more to do.
async fn drivers(story: &Story, chance: &mut StdRng, calm: &Cell<bool>) {
    loop {
        if calm.get() {
            story.faults.spare();
        } else {
            story.faults.break_off_after(chance.random_range(1..40));
            story.store.fail(chance.random_range(0..2));
            story.executor.refuse(chance.random_range(0..2));
        }
        let last = calm.get();
        let left = left_behind(&story.world).await.contains(&story.id);
        let wished = story.world.store.wished().await.unwrap_or_default();
        if left || needs_driver(&story.world, story.id, &story.status().await, &wished).await {
            tokio::select! {
                outcome = Box::pin(drive(&story.world, story.id)) => drop(outcome.unwrap()),
                () = story.faults.reached() => {}
            }
            story.store.free_leases().await;
        } else if last {
            return;
        }
        sleep(TICK).await;
    }
}

/// Every run begins after a while and ends after another, in whatever way.
async fn runs(story: &Story, mut chance: StdRng) {
    let mut left: BTreeMap<RunId, u32> = BTreeMap::new();
    loop {
        sleep(BEAT).await;
        for (run, stopped) in story.executor.alive() {
            let left = left.entry(run).or_insert_with(|| chance.random_range(0..40));
            match *left {
                _ if stopped && chance.random_bool(0.5) => story.executor.end(run, Exit::Stopped).await,
                0 => story.executor.end(run, exit(&mut chance)).await,
                10 => story.executor.begin(run),
                _ => {}
            }
            *left = left.saturating_sub(1);
        }
    }
}

fn exit(chance: &mut StdRng) -> Exit {
    match chance.random_range(0..12) {
        0 => Exit::Code { code: 1 },
        1 => Exit::Signal { signal: 9 },
        2 => Exit::Lost { reason: "the machine was started anew".into() },
        3 => Exit::TimedOut { seconds: 4 },
        4 => Exit::Stopped,
        _ => WELL,
    }
}

/// Wishes, and times without the service; at the end all goes on.
async fn people(story: &Story, mut chance: StdRng, calm: &Cell<bool>) {
    let mut waited = Duration::ZERO;
    while waited < RESTLESS {
        let pause = Duration::from_millis(chance.random_range(0..4000));
        sleep(pause).await;
        waited += pause;
        story.wish(wish(&mut chance)).await;
        if chance.random_bool(0.1) {
            story.search.down();
            sleep(pause).await;
            waited += pause;
            story.search.up().await;
        }
    }
    story.wish(Wish::Resume).await;
    calm.set(true);
    std::future::pending::<()>().await;
}

fn wish(chance: &mut StdRng) -> Wish {
    let trial = TrialIdx(chance.random_range(0..4));
    match chance.random_range(0..10) {
        0 if chance.random_bool(0.25) => Wish::Delete,
        0 => Wish::Stop { now: false },
        1 => Wish::Stop { now: true },
        2 => parallel(chance.random_range(1..5)),
        3 => trials(chance.random_range(2..20)),
        4 => Wish::StopTrial { trial },
        5 => Wish::RetryTrial { trial },
        6 => {
            let point = [("left", "0.25"), ("right", "0.5")];
            Wish::Enqueue { assignments: point.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec() }
        }
        _ => Wish::Resume,
    }
}
