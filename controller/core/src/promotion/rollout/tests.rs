//! Rollouts carried out on paper: servers and router are given, every change is kept.

use super::*;
use crate::promotion::plan::{Evaluated, plan};
use crate::promotion::serving::{Keep, keep};
use crate::promotion::{Candidate, PromotionId, PromotionState, PromotionWish, StoredPromotionWish, Version};
use crate::run::Model;
use crate::spec::{GuardSpec, PromotionSpec, WorseBySpec};

const SECOND: i64 = 1_000_000;

/// A model that is served, with its promotions.
struct Paper {
    promotion: Promotion,
    versions: Vec<Version>,
    champion: Option<u64>,
    ground: Ground,
    wishes: Vec<StoredPromotionWish>,
    deeds: Vec<String>,
    serving_older: Option<u64>,
    now: i64,
    /// How a candidate's server fares.
    fate: Seen,
}

fn spec() -> ServingSpec {
    let worse_by = Some(WorseBySpec { worse_by: Some(serde_json::json!(0.01)) });
    ServingSpec {
        template: "mlserver".into(),
        canary: vec![25, 100],
        bake: Some("10s".into()),
        min_requests: Some(100),
        guards: vec![GuardSpec { error_rate: worse_by, ..GuardSpec::default() }],
        ..ServingSpec::default()
    }
}

impl Paper {
    fn new() -> Self {
        let ground = Ground { telemetry: Some(Telemetry::default()), ..Ground::default() };
        let mut paper = Self {
            promotion: Promotion::default(),
            versions: Vec::new(),
            champion: None,
            ground,
            wishes: Vec::new(),
            deeds: Vec::new(),
            serving_older: None,
            now: 0,
            fate: Seen::Ready,
        };
        paper.wants("aa");
        paper
    }

    /// The champion aa is served; now bb is wanted.
    fn with_champion() -> Self {
        let mut paper = Self::new();
        assert_eq!(paper.run().state, PromotionState::Succeeded);
        paper.wants("bb");
        paper
    }

    fn wants(&mut self, digest: &str) {
        let artifact = Model { digest: digest.into(), uri: format!("file:///{digest}"), ..Model::default() };
        let number = self.promotion.number + 1;
        self.promotion = Promotion {
            id: PromotionId::of_key(digest),
            model: "digits".into(),
            number,
            spec: PromotionSpec { model: "digits".into(), serving: Some(spec()), ..PromotionSpec::default() },
            candidate: Candidate { artifact, trial_name: format!("t-{digest}"), ..Candidate::default() },
            ..Promotion::default()
        };
        self.ground.smoke = Some(Ok("as expected".into()));
        self.deeds.clear();
    }

    /// One step; whether it changed anything.
    fn step(&mut self) -> bool {
        let find = |number: Option<u64>| self.versions.iter().find(|v| Some(v.number) == number);
        let view = View {
            promotion: &self.promotion,
            champion: find(self.champion),
            back_to: find(self.promotion.back_to),
            last_version: self.versions.len() as u64,
            newer: None,
            serving_older: self.serving_older,
            wishes: &self.wishes,
            verified: Some(&Ok(String::new())),
            candidate: &Evaluated::Not,
            measured_champion: &Evaluated::Not,
            ground: &self.ground,
        };
        match plan(Timestamp(self.now), &view) {
            Action::Keep(change) => {
                self.promotion = change.promotion;
                self.versions.extend(change.version);
                self.champion = change.champion.or(self.champion);
                self.deeds.extend(change.deeds.into_iter().map(|deed| deed.deed));
                self.wishes.retain(|stored| !change.taken.contains(&stored.wish_no));
                if let Some(serving) = change.serving {
                    self.ground.serving = serving;
                }
                self.tend();
                true
            }
            Action::Do(effects) => panic!("{effects:?} although every fact is there"),
            Action::Wait(_) | Action::Over => false,
        }
    }

    /// The servers and the router follow at once; whether there was anything to do.
    fn tend(&mut self) -> bool {
        let before = self.ground.serving.clone();
        let todos = keep(Timestamp(self.now), &before, &self.ground.seen);
        let is_more = !todos.is_empty();
        for todo in todos {
            match todo {
                Keep::Next(one) | Keep::Ensure(one) => {
                    if let Some(there) = self.ground.serving.find_mut(&one.name) {
                        *there = one.next(Timestamp(self.now), 1);
                    }
                    self.ground.seen.insert(one.name.clone(), self.fate.clone());
                }
                Keep::Retire(one) => self.ground.serving.deployments.retain(|other| other.name != one.name),
            }
        }
        if let Some(telemetry) = &mut self.ground.telemetry {
            telemetry.generation = self.ground.serving.generation;
            self.ground.counted_at = Timestamp(self.now);
        }
        is_more
    }

    fn run(&mut self) -> &Promotion {
        for _ in 0..100 {
            if !self.step() && !self.tend() {
                return &self.promotion;
            }
        }
        panic!("no end: {:?}", self.promotion)
    }

    /// The next one is wanted in this mode.
    fn in_mode(mode: &str, change: impl FnOnce(&mut ServingSpec)) -> Self {
        let mut paper = Self::with_champion();
        let mut serving = ServingSpec { mode: Some(mode.into()), canary: Vec::new(), ..spec() };
        change(&mut serving);
        paper.promotion.spec.serving = Some(serving);
        paper
    }

    /// The candidate answers copies, of which so many otherwise than the champion, which answers as many requests.
    fn copies(&mut self, seconds: i64, compared: u64, disagreed: u64) -> &Promotion {
        let name = self.promotion.rollout.clone().unwrap().deployment;
        if let Some(telemetry) = &mut self.ground.telemetry {
            let counts = telemetry.copies.entry(name).or_default();
            let latencies = vec![compared];
            counts.add(&Counts { requests: compared, compared, disagreed, latencies, ..Counts::default() });
        }
        self.pass(seconds, (0, 0), (compared, 0))
    }

    fn wish(&mut self, wish: PromotionWish) {
        self.wishes.push(StoredPromotionWish { wish_no: 1, at: Timestamp(0), wish });
    }

    /// Time goes on, and both versions answer this many requests, of which so many fail.
    fn pass(&mut self, seconds: i64, candidate: (u64, u64), champion: (u64, u64)) -> &Promotion {
        self.now += seconds * SECOND;
        let rollout = self.promotion.rollout.clone().unwrap();
        if let Some(telemetry) = &mut self.ground.telemetry {
            self.ground.counted_at = Timestamp(self.now);
            for (name, (requests, errors)) in
                [(Some(rollout.deployment), candidate), (rollout.previous, champion)]
            {
                let counts = telemetry.counts.entry(name.unwrap_or_default()).or_default();
                counts.add(&Counts { requests, errors, latencies: vec![requests], ..Counts::default() });
            }
        }
        self.run()
    }

    fn shares(&self) -> Vec<(String, u32)> {
        let shares = self.ground.serving.deployments.iter();
        shares.map(|one| (one.artifact.digest.clone(), one.weight)).collect()
    }
}

fn shares(all: &[(&str, u32)]) -> Vec<(String, u32)> {
    all.iter().map(|(digest, share)| ((*digest).to_owned(), *share)).collect()
}

#[test]
fn the_first_model_gets_all_requests_at_once() {
    let mut paper = Paper::new();
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    assert_eq!((paper.champion, paper.shares()), (Some(1), shares(&[("aa", 100)])));
    assert_eq!(paper.deeds, ["wanted", "answered", "served", "succeeded"]);
    assert_eq!(paper.ground.serving.deployments[0].version, Some(1));
}

#[test]
fn a_share_lasts_until_time_and_requests_are_enough() {
    let mut paper = Paper::with_champion();
    assert_eq!(paper.run().waits_for(), Some(crate::promotion::WaitsFor::Bake));
    assert_eq!(paper.promotion.message, "25 % of the requests go to it, for at least 10s and 100 requests");
    assert_eq!(paper.shares(), shares(&[("aa", 75), ("bb", 25)]));
    assert_eq!(paper.pass(20, (99, 0), (300, 0)).state, PromotionState::Waiting);
    assert_eq!(paper.pass(0, (1, 0), (3, 0)).state, PromotionState::Succeeded);
    assert_eq!((paper.champion, paper.shares()), (Some(2), shares(&[("aa", 0), ("bb", 100)])));
    // The one before stays warm for a while, and goes.
    paper.now += 601 * SECOND;
    paper.tend();
    assert_eq!(paper.shares(), shares(&[("bb", 100)]));
}

#[test]
fn a_bad_candidate_is_sent_back_and_the_champion_stays() {
    let mut paper = Paper::with_champion();
    paper.run();
    let promotion = paper.pass(1, (50, 25), (150, 0));
    assert_eq!(promotion.state, PromotionState::RolledBack);
    assert!(
        promotion.message.starts_with("errorRate: 50.00 % of its 50 requests failed"),
        "{}",
        promotion.message
    );
    assert_eq!((paper.champion, paper.shares()), (Some(1), shares(&[("aa", 100)])));
    assert_eq!(paper.deeds, ["wanted", "answered", "served", "rollingBack", "rolledBack"]);
}

#[test]
fn what_is_not_counted_is_a_breach() {
    let mut paper = Paper::with_champion();
    paper.run();
    let telemetry = paper.ground.telemetry.take();
    assert_eq!(paper.pass(29, (0, 0), (0, 0)).state, PromotionState::Waiting);
    assert_eq!(paper.pass(1, (0, 0), (0, 0)).state, PromotionState::RollingBack);
    // Where the router never comes back a person has to look.
    let mut stuck = Paper { promotion: paper.promotion.clone(), ..Paper::new() };
    stuck.ground = Ground { telemetry: None, ..paper.ground.clone() };
    assert_eq!(stuck.pass(100, (0, 0), (0, 0)).state, PromotionState::RollbackFailed);
    paper.ground.telemetry = telemetry;
    paper.tend();
    assert_eq!(paper.run().state, PromotionState::RolledBack);
    assert!(paper.promotion.message.contains("missing telemetry is a breach"), "{}", paper.promotion.message);
}

#[test]
fn a_server_that_does_not_come_or_dies_or_answers_wrongly_ends_it_before_any_request() {
    let mut slow = Paper::with_champion();
    slow.fate = Seen::Running;
    slow.ground.tail = "loading".into();
    slow.run();
    slow.now += 60 * SECOND;
    let message = "its server was not ready within 1m00s; it said last: loading";
    assert_eq!((slow.run().state, slow.promotion.message.as_str()), (PromotionState::Failed, message));
    let mut dead = Paper::with_champion();
    dead.fate = Seen::Died("exit code 3".into());
    assert_eq!(dead.run().message, "its server has ended: exit code 3");
    let mut refused = Paper::with_champion();
    refused.fate = Seen::Refused("its model has changed".into());
    assert_eq!(refused.run().message, "its server cannot be started: its model has changed");
    let mut wrong = Paper::with_champion();
    wrong.ground.smoke = Some(Err("it says 7, expected was 3".into()));
    assert_eq!(wrong.run().message, "it says 7, expected was 3");
    for paper in [slow, dead, refused, wrong] {
        assert_eq!((paper.champion, paper.shares()), (Some(1), shares(&[("aa", 100)])));
        assert_eq!(paper.promotion.state, PromotionState::Failed);
    }
}

#[test]
fn a_server_that_dies_with_requests_is_a_breach() {
    let mut paper = Paper::with_champion();
    paper.run();
    let name = paper.promotion.rollout.as_ref().unwrap().deployment.clone();
    paper.ground.seen.insert(name, Seen::Died("killed by signal 9".into()));
    assert_eq!(paper.run().state, PromotionState::RolledBack);
    assert_eq!(paper.promotion.message, "its server has ended: killed by signal 9");
}

#[test]
fn cancelling_sends_the_requests_back() {
    let mut paper = Paper::with_champion();
    paper.run();
    let wish = PromotionWish::Cancel { by: "ada".into(), reason: "no".into() };
    paper.wishes.push(StoredPromotionWish { wish_no: 1, at: Timestamp(0), wish });
    assert_eq!(paper.run().state, PromotionState::RolledBack);
    assert_eq!(
        (paper.promotion.message.as_str(), paper.shares()),
        ("cancelled by ada: no", shares(&[("aa", 100)]))
    );
}

fn disagreement(above: f64) -> Vec<GuardSpec> {
    let worse_by = Some(WorseBySpec { worse_by: Some(serde_json::json!(above)) });
    vec![GuardSpec { disagreement: worse_by, ..GuardSpec::default() }]
}

#[test]
fn a_shadow_answers_copies_until_they_are_enough_and_then_climbs() {
    let mut paper = Paper::in_mode("shadow", |serving| {
        serving.canary = vec![25, 100];
        serving.guards.extend(disagreement(0.05));
    });
    assert_eq!(paper.run().waits_for(), Some(crate::promotion::WaitsFor::Bake));
    let message =
        "it gets a copy of each request, and its answers go to nobody, for at least 10s and 100 requests";
    assert_eq!(paper.promotion.message, message);
    assert_eq!(paper.shares(), shares(&[("aa", 100), ("bb", 0)]));
    assert!(paper.ground.serving.deployments[1].shadow);
    assert_eq!(paper.copies(11, 99, 1).state, PromotionState::Waiting);
    assert_eq!(paper.shares(), shares(&[("aa", 100), ("bb", 0)]));
    paper.copies(0, 1, 0);
    assert_eq!(paper.shares(), shares(&[("aa", 75), ("bb", 25)]));
    assert!(!paper.ground.serving.deployments[1].shadow);
    assert_eq!(paper.pass(11, (99, 0), (300, 0)).state, PromotionState::Waiting);
    assert_eq!(paper.pass(0, (1, 0), (3, 0)).state, PromotionState::Succeeded);
    assert_eq!(paper.deeds, ["wanted", "answered", "copied", "served", "served", "succeeded"]);
}

#[test]
fn a_shadow_that_disagrees_too_often_goes_without_a_request() {
    let mut paper = Paper::in_mode("shadow", |serving| serving.guards = disagreement(0.05));
    paper.run();
    let promotion = paper.copies(1, 60, 20);
    assert_eq!(promotion.state, PromotionState::Failed);
    assert!(
        promotion.message.starts_with("disagreement: 33.33 % of its 60 answers"),
        "{}",
        promotion.message
    );
    paper.tend();
    assert_eq!((paper.champion, paper.shares()), (Some(1), shares(&[("aa", 100)])));
}

#[test]
fn blue_takes_all_from_green_and_is_judged_by_what_green_has_answered_before() {
    let baked = |errors: u64| {
        let mut paper = Paper::in_mode("blueGreen", |_| {});
        let champion = paper.ground.serving.deployments[0].name.clone();
        if let Some(telemetry) = &mut paper.ground.telemetry {
            let before = Counts { requests: 500, errors: 5, latencies: vec![500], ..Counts::default() };
            telemetry.counts.insert(champion, before);
        }
        assert_eq!(paper.run().waits_for(), Some(crate::promotion::WaitsFor::Bake));
        assert_eq!(paper.shares(), shares(&[("aa", 0), ("bb", 100)]));
        paper.pass(1, (99, errors), (0, 0));
        paper
    };
    let mut good = baked(1);
    assert_eq!(good.promotion.state, PromotionState::Waiting);
    assert_eq!(good.pass(10, (1, 0), (0, 0)).state, PromotionState::Succeeded);
    assert!(good.ground.serving.deployments[0].warm_until.is_some(), "green stays warm");
    let bad = baked(20);
    assert_eq!(bad.promotion.state, PromotionState::RolledBack);
    assert!(bad.promotion.message.starts_with("errorRate: 20.20 % of its 99"), "{}", bad.promotion.message);
    assert_eq!((bad.champion, bad.shares()), (Some(1), shares(&[("aa", 100)])));
}

#[test]
fn a_share_stands_until_a_person_ends_it() {
    let standing = || {
        let mut paper = Paper::in_mode("ab", |serving| {
            (serving.share, serving.bake) = (Some(30), None);
        });
        paper.run();
        assert_eq!(paper.pass(1_000_000, (5000, 0), (9000, 0)).state, PromotionState::Waiting);
        assert_eq!(paper.shares(), shares(&[("aa", 70), ("bb", 30)]));
        paper
    };
    let (by, reason) = ("ada".to_owned(), "it sells more".to_owned());
    let mut taken = standing();
    taken.wish(PromotionWish::Finish { by: by.clone(), reason: reason.clone() });
    assert_eq!(taken.run().state, PromotionState::Succeeded);
    assert_eq!((taken.champion, taken.shares()), (Some(2), shares(&[("aa", 0), ("bb", 100)])));
    assert_eq!(taken.deeds, ["wanted", "answered", "served", "finished", "served", "succeeded"]);
    let mut left = standing();
    left.wish(PromotionWish::Cancel { by, reason });
    assert_eq!(left.run().state, PromotionState::RolledBack);
    assert_eq!((left.champion, left.shares()), (Some(1), shares(&[("aa", 100)])));
}

#[test]
fn a_share_may_have_a_last_day() {
    let mut paper = Paper::in_mode("ab", |serving| serving.share = Some(30));
    paper.run();
    assert_eq!(paper.pass(9, (100, 0), (200, 0)).state, PromotionState::Waiting);
    assert_eq!(paper.pass(1, (0, 0), (0, 0)).state, PromotionState::Succeeded);
}

#[test]
fn a_champion_that_was_stopped_is_served_again_as_the_same_version() {
    let mut paper = Paper::with_champion();
    paper.wants("aa");
    paper.promotion.back_to = Some(1);
    paper.promotion.spec.serving = Some(spec().at_once());
    assert_eq!(paper.run().state, PromotionState::Skipped, "it is served already");
    paper.ground.serving.stop(Timestamp(paper.now), 1);
    paper.tend();
    assert!(paper.shares().is_empty());
    paper.wants("aa");
    paper.promotion.back_to = Some(1);
    paper.promotion.spec.serving = Some(spec().at_once());
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    assert_eq!((paper.champion, paper.shares()), (Some(1), shares(&[("aa", 100)])));
    assert_eq!(
        (paper.promotion.message.as_str(), paper.promotion.replaced),
        ("version 1 is the champion", None)
    );
}

#[test]
fn what_is_not_as_far_cannot_be_finished() {
    let mut paper = Paper::with_champion();
    paper.fate = Seen::Running;
    paper.run();
    let problem = finish_problem(&paper.promotion).unwrap();
    assert!(problem.ends_with("its server has not answered the sample yet"), "{problem}");
    paper.wish(PromotionWish::Finish { by: "ada".into(), reason: String::new() });
    paper.run();
    assert_eq!(paper.shares(), shares(&[("aa", 100), ("bb", 0)]));
    assert!(paper.deeds.contains(&"finishRefused".to_owned()));
}

#[test]
fn a_newer_one_waits_for_its_turn_and_a_way_back_takes_what_is_warm() {
    let mut paper = Paper::with_champion();
    paper.serving_older = Some(1);
    assert_eq!(paper.run().waits_for(), Some(crate::promotion::WaitsFor::Turn));
    assert_eq!(paper.promotion.message, "waits for promotion digits/1, whose candidate gets requests");
    paper.serving_older = None;
    paper.run();
    assert_eq!(paper.pass(20, (100, 0), (300, 0)).state, PromotionState::Succeeded);
    let attempts =
        |paper: &Paper| paper.ground.serving.deployments.iter().map(|one| one.attempt).sum::<u32>();
    let before = attempts(&paper);
    paper.wants("aa");
    paper.promotion.back_to = Some(1);
    paper.promotion.spec.serving = Some(spec().at_once());
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    assert_eq!((paper.champion, attempts(&paper)), (Some(1), before));
    assert_eq!(paper.shares(), shares(&[("aa", 100), ("bb", 0)]));
}
