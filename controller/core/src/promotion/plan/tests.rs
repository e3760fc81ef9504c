//! Promotions carried out on paper: every fact is given, every change is kept.

use super::*;
use crate::promotion::{Candidate, PromotionId};
use crate::run::Model;
use crate::spec::{ApprovalSpec, GateSpec, PipelineSpec, PromotionSpec, StepSpec};

/// A model with its promotions and versions, as the store has them.
#[derive(Default)]
struct Paper {
    promotion: Promotion,
    versions: Vec<Version>,
    champion: Option<u64>,
    deeds: Vec<String>,
    wishes: Vec<StoredPromotionWish>,
    newer: Option<u64>,
    /// What reading the model shows.
    file: Option<Result<String, String>>,
    candidate: Evaluated,
    measured_champion: Evaluated,
    now: i64,
    kept: usize,
}

fn measured(value: f64) -> Evaluated {
    Evaluated::Measured(Measurement { value, ..Measurement::default() })
}

fn spec() -> PromotionSpec {
    PromotionSpec {
        model: "digits".into(),
        gate: Some(GateSpec {
            metric: "accuracy".into(),
            minimum: Some(0.9),
            improves_on: Some("champion".into()),
            ..GateSpec::default()
        }),
        pipeline: Some(PipelineSpec {
            steps: vec![StepSpec { name: EVALUATE.into(), ..StepSpec::default() }],
        }),
        ..PromotionSpec::default()
    }
}

impl Paper {
    /// A promotion of this digest, which reaches this value.
    fn of(digest: &str, value: f64) -> Self {
        let mut paper =
            Self { file: Some(Ok("data-1".into())), candidate: measured(value), ..Self::default() };
        paper.wants(digest, value);
        paper
    }

    fn wants(&mut self, digest: &str, value: f64) {
        let artifact = Model { digest: digest.into(), uri: format!("file:///{digest}"), ..Model::default() };
        self.promotion = Promotion {
            id: PromotionId::of_key(digest),
            model: "digits".into(),
            number: self.promotion.number + 1,
            author: "ada".into(),
            spec: spec(),
            candidate: Candidate { artifact, trial_name: format!("t-{digest}"), ..Candidate::default() },
            ..Promotion::default()
        };
        self.candidate = measured(value);
    }

    fn wish(&mut self, wish: PromotionWish) {
        let wish_no = self.wishes.len() as i64 + 1;
        self.wishes.push(StoredPromotionWish { wish_no, at: Timestamp(self.now), wish });
    }

    fn next(&self) -> Action {
        let find = |number: Option<u64>| self.versions.iter().find(|v| Some(v.number) == number);
        plan(
            Timestamp(self.now),
            &View {
                promotion: &self.promotion,
                champion: find(self.champion),
                back_to: find(self.promotion.back_to),
                last_version: self.versions.len() as u64,
                newer: self.newer,
                serving_older: None,
                wishes: &self.wishes,
                verified: self.file.as_ref(),
                candidate: &self.candidate,
                measured_champion: &self.measured_champion,
                ground: &Ground::default(),
            },
        )
    }

    fn keep(&mut self, change: Change) {
        self.kept += 1;
        self.promotion = change.promotion;
        self.versions.extend(change.version);
        self.champion = change.champion.or(self.champion);
        self.deeds.extend(change.deeds.into_iter().map(|deed| deed.deed));
        self.wishes.retain(|stored| !change.taken.contains(&stored.wish_no));
    }

    /// Goes on until it is over or waits.
    fn run(&mut self) -> &Promotion {
        for _ in 0..50 {
            match self.next() {
                Action::Keep(change) => self.keep(*change),
                Action::Do(effects) => panic!("{effects:?} although every fact is there"),
                Action::Wait(_) | Action::Over => return &self.promotion,
            }
        }
        panic!("no end: {:?}", self.promotion)
    }
}

#[test]
fn a_first_candidate_that_is_good_enough_becomes_the_champion() {
    let mut paper = Paper::of("aa", 0.95);
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    assert_eq!((paper.champion, paper.versions.len()), (Some(1), 1));
    assert_eq!(paper.promotion.message, "version 1 is the champion");
    assert_eq!(paper.versions[0].evidence.candidate.clone().map(Evaluated::Measured), Some(measured(0.95)));
    assert_eq!(paper.deeds, ["wanted", "passed", "succeeded"]);
}

#[test]
fn what_is_not_good_enough_leaves_the_champion_untouched() {
    let mut paper = Paper::of("aa", 0.95);
    paper.run();
    paper.wants("bb", 0.5);
    paper.measured_champion = measured(0.95);
    assert_eq!(paper.run().state, PromotionState::Failed);
    assert_eq!(paper.promotion.message, "`accuracy` is 0.5, below the minimum 0.9");
    paper.wants("cc", 0.94);
    assert_eq!(paper.run().state, PromotionState::Skipped);
    paper.wants("aa", 0.95);
    assert_eq!(paper.run().message, "the candidate is the champion already, as version 1");
    paper.wants("dd", 0.96);
    paper.candidate = Evaluated::Failed("exit code 1".into());
    assert_eq!(paper.run().message, "the candidate could not be measured: exit code 1");
    paper.wants("ee", 0.96);
    paper.file = Some(Err("the file model.json has changed".into()));
    assert_eq!(paper.run().state, PromotionState::Failed);
    assert_eq!((paper.champion, paper.versions.len()), (Some(1), 1));
}

#[test]
fn a_better_one_takes_its_place_and_a_rollback_goes_back_without_measuring() {
    let mut paper = Paper::of("aa", 0.95);
    paper.run();
    paper.wants("bb", 0.96);
    paper.measured_champion = measured(0.95);
    assert_eq!(paper.run().message, "version 2 is the champion in place of version 1");
    assert_eq!((paper.promotion.version, paper.promotion.replaced), (Some(2), Some(1)));
    paper.wants("aa", 0.0);
    paper.promotion.back_to = Some(1);
    paper.candidate = Evaluated::Not;
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    assert_eq!((paper.champion, paper.versions.len()), (Some(1), 2));
    paper.wants("zz", 0.0);
    paper.promotion.back_to = Some(9);
    assert_eq!(paper.run().message, "there is no version 9 to go back to");
}

#[test]
fn the_champion_is_measured_once_on_the_same_data() {
    let mut paper = Paper::of("aa", 0.95);
    paper.run();
    paper.wants("bb", 0.96);
    // Nobody measures it again: what it reached as a candidate counts.
    paper.measured_champion = Evaluated::Failed("asked for".into());
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    paper.wants("cc", 0.97);
    paper.file = Some(Ok("data-2".into()));
    assert_eq!(paper.run().message, "the champion could not be measured: asked for");
}

#[test]
fn an_approval_binds_what_was_shown() {
    let mut paper = Paper::of("aa", 0.95);
    paper.promotion.spec.approval =
        Some(ApprovalSpec { expires: Some("10s".into()), ..ApprovalSpec::default() });
    let approve = |by: &str, digest: &str| PromotionWish::Approve {
        by: by.into(),
        reason: "looks good".into(),
        digest: digest.into(),
    };
    assert_eq!(paper.run().state, PromotionState::Waiting);
    assert!(paper.promotion.message.starts_with("waits for the approval of anyone but ada: `accuracy` 0.95"));
    assert_eq!(paper.next(), Action::Wait(Some(Timestamp(10_000_000))));
    paper.wish(approve("ada", "aa"));
    paper.wish(approve("bob", "ab"));
    assert_eq!(paper.run().state, PromotionState::Waiting);
    assert_eq!(paper.deeds[2..], ["approvalRefused", "approvalRefused"]);
    paper.wish(approve("bob", "aa"));
    assert_eq!(paper.run().state, PromotionState::Succeeded);
    let approval = paper.versions[0].approval.clone().unwrap();
    assert_eq!((approval.by.as_str(), approval.digest.as_str()), ("bob", "aa"));
}

#[test]
fn an_approval_is_void_once_the_model_has_changed() {
    let mut paper = Paper::of("aa", 0.95);
    paper.promotion.spec.approval = Some(ApprovalSpec { by: vec!["ada".into()], expires: None });
    paper.run();
    // Who is named may also be who wanted it.
    paper.wish(PromotionWish::Approve { by: "ada".into(), reason: String::new(), digest: "aa".into() });
    paper.file = Some(Err("model.json has changed since it was sealed".into()));
    assert_eq!(paper.run().state, PromotionState::Failed);
    assert_eq!((paper.champion, paper.versions.len()), (None, 0));
}

#[test]
fn nobody_waits_for_ever() {
    let mut paper = Paper::of("aa", 0.95);
    paper.promotion.spec.approval =
        Some(ApprovalSpec { expires: Some("10s".into()), ..ApprovalSpec::default() });
    paper.run();
    paper.now = 10_000_000;
    assert_eq!(paper.run().message, "nobody approved it within 10s");
    paper.wish(PromotionWish::Cancel { by: "ada".into(), reason: String::new() });
    assert_eq!(paper.run().state, PromotionState::Failed);
    assert!(paper.wishes.is_empty());
}

#[test]
fn a_newer_one_takes_its_place_and_a_person_can_end_it() {
    let mut paper = Paper::of("aa", 0.95);
    paper.newer = Some(7);
    assert_eq!(paper.run().state, PromotionState::Superseded);
    assert_eq!(paper.promotion.message, "promotion digits/7 of the same model has taken its place");
    let mut paper = Paper::of("aa", 0.95);
    paper.wish(PromotionWish::Cancel { by: "bob".into(), reason: "too early".into() });
    assert_eq!(paper.run().message, "cancelled by bob: too early");
    assert_eq!(paper.promotion.state, PromotionState::Cancelled);
    assert_eq!(paper.champion, None);
}

#[test]
fn another_champion_in_between_is_compared_with_anew() {
    let mut paper = Paper::of("aa", 0.95);
    paper.run();
    paper.wants("bb", 0.96);
    for _ in 0..50 {
        if paper.promotion.stage == Stage::Register {
            break;
        }
        let Action::Keep(change) = paper.next() else { panic!() };
        paper.keep(*change);
    }
    let other = Version { number: 2, ..paper.versions[0].clone() };
    let other = Version { evidence: Evidence { data: "other".into(), ..other.evidence }, ..other };
    paper.versions.push(other);
    paper.champion = Some(2);
    paper.measured_champion = measured(0.99);
    assert_eq!(paper.run().state, PromotionState::Skipped);
    assert_eq!(paper.promotion.evidence.against, Some(2));
}

#[test]
fn a_measurement_that_is_lost_is_begun_anew_three_times() {
    let mut paper = Paper::of("aa", 0.95);
    paper.candidate = Evaluated::Lost("the machine was restarted".into());
    assert_eq!(
        paper.run().message,
        "the candidate could not be measured: lost 4 times: the machine was restarted"
    );
}

#[test]
fn whatever_is_forgotten_at_a_crash_comes_again_and_counts_once() {
    // At each point where something was written the process dies: facts are gone, what was kept is there.
    for crash in 0..12 {
        let mut paper = Paper::of("aa", 0.95);
        let facts = (paper.file.clone(), paper.candidate.clone());
        let mut asked = 0;
        for _ in 0..100 {
            if paper.kept == crash {
                (paper.file, paper.candidate, paper.kept) = (None, Evaluated::Not, paper.kept + 1000);
            }
            match paper.next() {
                Action::Keep(change) => paper.keep(*change),
                Action::Do(effects) => {
                    asked += 1;
                    for effect in effects {
                        match effect {
                            Effect::Verify => paper.file.clone_from(&facts.0),
                            Effect::Evaluate(Role::Candidate) => paper.candidate = facts.1.clone(),
                            Effect::Evaluate(Role::Champion) | Effect::Smoke => panic!("there is none"),
                        }
                    }
                }
                Action::Wait(_) => panic!("nothing to wait for"),
                Action::Over => break,
            }
        }
        assert!(asked <= 3);
        assert_eq!(
            (paper.promotion.state, paper.champion),
            (PromotionState::Succeeded, Some(1)),
            "at {crash}"
        );
        assert_eq!((paper.versions.len(), paper.deeds.len()), (1, 3), "at {crash}");
    }
}
