//! What every store does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus};
use controller_core::ports::{
    AskRecord, Batch, Collected, Learnt, Left, ObservationQuery, ObservationRow, Pushed, Store, StoreError,
    TrialOrder, TrialQuery, Wish,
};
use controller_core::run::{RunId, RunRecord, Sealed};
use controller_core::spec::ExperimentSpec;
use controller_core::time::Timestamp;
use controller_core::trial::{Origin, TrialRecord, TrialState};
use study::{Digest, Prefix, Suggestion, TrialIdx};

type AnyStore = Arc<dyn Store>;

pub(super) fn record(id: i64, name: &str) -> ExperimentRecord {
    ExperimentRecord {
        id: ExperimentId(id),
        uid: format!("uid-{id}"),
        cluster: String::new(),
        namespace: "default".into(),
        name: name.into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: ExperimentSpec { max_trial_count: Some(3), ..Default::default() },
        spec_digest: "d".into(),
        earlier: Vec::new(),
        seed: 7,
        base_dir: None,
        created: Timestamp(id),
    }
}

fn noted(seq: u64) -> StoredEvent {
    StoredEvent {
        seq,
        at: Timestamp(seq as i64),
        event: Event::Noted { trial: None, message: format!("e{seq}") },
    }
}

fn trial(idx: u64, state: TrialState, objective: Option<f64>) -> TrialRecord {
    TrialRecord {
        idx: TrialIdx(idx),
        name: format!("t-{idx}"),
        state,
        suggestion: Suggestion::default(),
        assignments: vec![("lr".into(), "0.1".into())],
        labels: BTreeMap::new(),
        rules: vec![],
        origin: Origin::Search,
        attempt: 1,
        failures: 0,
        lost: 0,
        reason: "R".into(),
        message: "m".into(),
        observation: vec![],
        objectives: objective.into_iter().collect(),
        model: None,
        checkpoint: None,
        waited: vec![],
        reached: None,
        steps: 0,
        created: Timestamp(1),
        started: None,
        ended: state.is_final().then_some(Timestamp(idx as i64)),
    }
}

pub(super) fn row(offset: u64, text: &str) -> ObservationRow {
    ObservationRow {
        source: "stdout".into(),
        offset,
        nth: 0,
        metric: "loss".into(),
        time: None,
        step: offset as i64,
        text: text.into(),
        value: controller_core::metrics::value::number(text),
    }
}

pub(super) const RUN: RunId = RunId { experiment: ExperimentId(1), trial: TrialIdx(0), attempt: 1 };

pub(super) async fn create(store: &AnyStore, id: i64, name: &str) {
    store.create_experiment(&record(id, name), &ExperimentStatus::default(), &[noted(1)]).await.unwrap();
}

pub(super) async fn an_experiment_is_found_by_name_and_by_id(store: AnyStore) {
    create(&store, 1, "a").await;
    create(&store, 2, "b").await;
    assert_eq!(store.experiment("default", "a").await.unwrap(), Some(record(1, "a")));
    assert_eq!(store.experiment_by_id(ExperimentId(2)).await.unwrap(), Some(record(2, "b")));
    assert_eq!(store.experiment("other", "a").await.unwrap(), None);
    let living = store.experiments().await.unwrap();
    let names: Vec<_> = living.iter().map(|living| living.record.name.as_str()).collect();
    assert_eq!(names, ["b", "a"], "newest first");
    assert!(matches!(store.status(ExperimentId(9)).await, Err(StoreError::NotFound(_))));
    store.ping().await.unwrap();
}

pub(super) async fn what_is_written_is_listed_and_nothing_else_is_read_again(store: AnyStore) {
    create(&store, 1, "a").await;
    create(&store, 2, "b").await;
    let before = store.experiments().await.unwrap();
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    let status = ExperimentStatus { last_seq: 9, ..ExperimentStatus::default() };
    let edited = ExperimentRecord { seed: 8, ..record(1, "a") };
    let batch = Batch { status: Some(status), experiment: Some(edited.clone()), ..Batch::default() };
    store.commit(&lease, &batch).await.unwrap();
    let after = store.experiments().await.unwrap();
    assert!(Arc::ptr_eq(&before[0], &after[0]), "nothing of this one was written");
    assert_eq!((&after[1].record, after[1].status.last_seq), (&edited, 9));
    store.commit(&lease, &Batch { delete: true, ..Batch::default() }).await.unwrap();
    create(&store, 3, "a").await;
    let ids: Vec<_> = store.experiments().await.unwrap().iter().map(|living| living.record.id.0).collect();
    assert_eq!(ids, [3, 2]);
}

pub(super) async fn a_name_is_taken_until_its_experiment_is_deleted(store: AnyStore) {
    create(&store, 1, "a").await;
    let again = store.create_experiment(&record(2, "a"), &ExperimentStatus::default(), &[]).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    store.append(&[(RUN, vec![row(0, "1")])]).await.unwrap();
    store.commit(&lease, &Batch { delete: true, ..Batch::default() }).await.unwrap();
    assert_eq!(store.experiment("default", "a").await.unwrap(), None);
    create(&store, 2, "a").await;
    assert_eq!(store.deleted().await.unwrap(), [record(1, "a")]);
    assert!(store.purge(ExperimentId(1)).await.unwrap());
    assert!(!store.purge(ExperimentId(2)).await.unwrap(), "it lives");
    assert!(
        store.experiment("default", "a").await.unwrap().is_some()
            && store.deleted().await.unwrap().is_empty()
    );
    assert_eq!(store.experiment_by_id(ExperimentId(1)).await.unwrap(), None);
    assert!(store.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap().is_empty());
}

pub(super) async fn a_commit_writes_everything_or_nothing(store: AnyStore) {
    create(&store, 1, "a").await;
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    let run = RunRecord {
        id: RUN,
        executor_ref: String::new(),
        slots: vec![],
        start_from: None,
        started: None,
        end: None,
    };
    let ask = AskRecord { first_idx: TrialIdx(1), n: 2, history_seq: 2 };
    let status = ExperimentStatus { last_seq: 2, ..Default::default() };
    let batch = Batch {
        events: vec![noted(2)],
        asks: vec![ask],
        trials: vec![trial(0, TrialState::Pending, None)],
        runs: vec![run.clone()],
        status: Some(status),
        ..Batch::default()
    };
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(store.asks(ExperimentId(1), TrialIdx(1)).await.unwrap(), [ask]);
    assert!(store.asks(ExperimentId(1), TrialIdx(2)).await.unwrap().is_empty());
    let later = AskRecord { first_idx: TrialIdx(3), n: 1, history_seq: 2 };
    let other = AskRecord { n: 2, ..later };
    store.commit(&lease, &Batch { asks: vec![later], ..Batch::default() }).await.unwrap();
    let again = Batch { drop_asks: Some(TrialIdx(2)), asks: vec![other], ..Batch::default() };
    store.commit(&lease, &again).await.unwrap();
    assert_eq!(store.asks(ExperimentId(1), TrialIdx(0)).await.unwrap(), [ask, other]);
    assert_eq!(store.runs(ExperimentId(1), None).await.unwrap(), [run]);
    assert_eq!(store.status(ExperimentId(1)).await.unwrap().generation, lease.generation);
    // An event of a number that is taken fails, and with it everything else of its batch.
    let clash = Batch {
        trials: vec![trial(5, TrialState::Pending, None)],
        events: vec![noted(2)],
        ..Batch::default()
    };
    assert!(store.commit(&lease, &clash).await.is_err());
    assert_eq!(store.trial(ExperimentId(1), TrialIdx(5)).await.unwrap(), None);
    assert_eq!(store.trials_named("t-0").await.unwrap().len(), 1);
}

pub(super) async fn events_come_back_in_order_and_in_pages(store: AnyStore) {
    create(&store, 1, "a").await;
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    let events: Vec<_> = (2..=1200).map(noted).collect();
    store.commit(&lease, &Batch { events, ..Batch::default() }).await.unwrap();
    let all = store.events(ExperimentId(1), 0, 0).await.unwrap();
    assert!(all.iter().enumerate().all(|(i, event)| event.seq == i as u64 + 1) && all.len() == 1200);
    let page = store.events(ExperimentId(1), 100, 3).await.unwrap();
    assert_eq!(page, [noted(101), noted(102), noted(103)]);
}

pub(super) async fn trials_are_filtered_sorted_and_paged(store: AnyStore) {
    create(&store, 1, "a").await;
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    let trials = vec![
        trial(0, TrialState::Succeeded, Some(0.5)),
        trial(1, TrialState::Succeeded, Some(0.1)),
        trial(2, TrialState::Failed, None),
        trial(3, TrialState::Succeeded, Some(0.9)),
        trial(4, TrialState::Running, None),
    ];
    store.commit(&lease, &Batch { trials, ..Batch::default() }).await.unwrap();
    let of = async |query: TrialQuery| {
        let page = store.trials(ExperimentId(1), &query).await.unwrap();
        (page.items.iter().map(|trial| trial.idx.0).collect::<Vec<_>>(), page.total)
    };
    let base = TrialQuery::default;
    assert_eq!(of(base()).await, (vec![0, 1, 2, 3, 4], 5));
    let by_objective = TrialQuery { order: TrialOrder::Objective, ..base() };
    assert_eq!(of(by_objective.clone()).await, (vec![1, 0, 3, 2, 4], 5));
    assert_eq!(of(TrialQuery { descending: true, ..by_objective }).await.0, [3, 0, 1, 2, 4]);
    let succeeded = TrialQuery { states: vec![TrialState::Succeeded], offset: 1, limit: 1, ..base() };
    assert_eq!(of(succeeded).await, (vec![1], 3));
    assert_eq!(
        of(TrialQuery { order: TrialOrder::Ended, descending: true, ..base() }).await.0,
        [3, 2, 1, 0, 4]
    );
    store
        .commit(&lease, &Batch { trials: vec![trial(4, TrialState::Killed, None)], ..Batch::default() })
        .await
        .unwrap();
    assert_eq!(store.trial(ExperimentId(1), TrialIdx(4)).await.unwrap().unwrap().state, TrialState::Killed);
}

pub(super) async fn observations_are_kept_once(store: AnyStore) {
    create(&store, 1, "a").await;
    let rows: Vec<_> = (0..2500).map(|i| row(i * 10, "0.5")).collect();
    store.append(&[(RUN, rows.clone())]).await.unwrap();
    store.append(&[(RUN, rows[2400..].to_vec()), (RUN, vec![row(99_999, "0.25")])]).await.unwrap();
    let all = store.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap();
    assert_eq!(all.len(), 2501);
    assert_eq!(all[1].row, rows[1]);
    assert_eq!(store.positions(RUN).await.unwrap(), BTreeMap::from([("stdout".to_owned(), 99_999)]));
    let behind = async |source: &str, place: (u64, u32)| {
        let after = BTreeMap::from([(source.to_owned(), place)]);
        let query = ObservationQuery { after, ..Default::default() };
        store.observations(ExperimentId(1), &query).await.unwrap().len()
    };
    assert_eq!(behind("stdout", (24_980, 0)).await, 2, "what lies behind a place");
    assert_eq!(behind("stdout", (24_980, u32::MAX)).await, 2);
    assert_eq!(behind("a file", (24_980, 0)).await, 2501, "in that source alone");
    let other = ObservationQuery { attempt: Some(2), ..Default::default() };
    assert!(store.observations(ExperimentId(1), &other).await.unwrap().is_empty());
    store.delete_observations(ExperimentId(1), TrialIdx(0)).await.unwrap();
    assert!(store.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap().is_empty());
}

pub(super) async fn numbers_that_are_none_are_read_back(store: AnyStore) {
    create(&store, 1, "a").await;
    let rows =
        ["nan", "-inf", "Genotype(x)", "1e-300"].iter().enumerate().map(|(i, text)| row(i as u64, text));
    store.append(&[(RUN, rows.collect())]).await.unwrap();
    let all = store.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap();
    assert!(all[0].row.value.unwrap().is_nan());
    assert_eq!(all[1].row.value, Some(f64::NEG_INFINITY));
    assert_eq!((all[2].row.value, all[2].row.text.as_str()), (None, "Genotype(x)"));
    assert_eq!(all[3].row.value, Some(1e-300));
}

/// A connection remembers how it has prepared a statement: without a number at first, with one later.
pub(super) async fn numbers_come_where_there_were_none_before(store: AnyStore) {
    create(&store, 1, "a").await;
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    for idx in 0..10 {
        for objective in [None, Some(0.5)] {
            let trials = vec![trial(idx, TrialState::Succeeded, objective)];
            store.commit(&lease, &Batch { trials, ..Batch::default() }).await.unwrap();
        }
        for (nth, text) in ["Genotype(x)", "0.25"].into_iter().enumerate() {
            store.append(&[(RUN, vec![row(2 * idx + nth as u64, text)])]).await.unwrap();
        }
    }
    let best = TrialQuery { order: TrialOrder::Objective, ..TrialQuery::default() };
    assert_eq!(store.trials(ExperimentId(1), &best).await.unwrap().items[9].objectives, [0.5]);
    let all = store.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap();
    assert_eq!(all.iter().filter(|found| found.row.value == Some(0.25)).count(), 10);
}

pub(super) async fn pushed_values_get_places_behind_each_other(store: AnyStore) {
    create(&store, 1, "a").await;
    let pushed = |text: &str, at| Pushed {
        metric: "loss".into(),
        time: Timestamp(at),
        text: text.into(),
        value: None,
    };
    store.push(RUN, &[pushed("1", 5), pushed("2", 5)]).await.unwrap();
    store.push(RUN, &[pushed("3", 4)]).await.unwrap();
    let from =
        ObservationQuery { from: Some(Timestamp(5)), metric: Some("loss".into()), ..Default::default() };
    let texts = async |query: &ObservationQuery| {
        let rows = store.observations(ExperimentId(1), query).await.unwrap();
        rows.into_iter().map(|o| o.row.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&ObservationQuery::default()).await, ["1", "2", "3"]);
    assert_eq!(texts(&from).await, ["1", "2"]);
}

pub(super) async fn what_a_collector_says_at_its_end_stays(store: AnyStore) {
    create(&store, 1, "a").await;
    assert_eq!(store.collected(RUN).await.unwrap(), None);
    let said = |note: &str| Collected { notes: vec![note.into()], ..Collected::default() };
    store.put_collected(RUN, &said("first"), Timestamp(1)).await.unwrap();
    store.put_collected(RUN, &said("again"), Timestamp(2)).await.unwrap();
    assert_eq!(store.collected(RUN).await.unwrap(), Some(said("first")));
    let checkpoint = Sealed { uri: "cairn:///x".into(), digest: "ab".into(), bytes: 1 };
    let left = Left { checkpoint: Some(checkpoint), ..Left::default() };
    let later = Collected { left: left.clone(), ..said("later") };
    store.put_collected(RUN, &later, Timestamp(3)).await.unwrap();
    assert_eq!(store.collected(RUN).await.unwrap(), Some(Collected { left, ..said("first") }));
    assert_eq!(store.collected(RunId { attempt: RUN.attempt + 1, ..RUN }).await.unwrap(), None);
}

pub(super) async fn what_was_learnt_last_is_kept_as_long_as_its_experiment(store: AnyStore) {
    create(&store, 1, "a").await;
    create(&store, 2, "b").await;
    let learnt = |seq: u8| Learnt {
        by: "a build".into(),
        prefix: Prefix { seq: seq.into(), digest: Digest([seq; 32]) },
        state: vec![0, 255, seq],
    };
    let keep = |seq: u8| Batch { learnt: Some(learnt(seq)), ..Batch::default() };
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    let other = store.acquire(ExperimentId(2), "me").await.unwrap().unwrap();
    assert_eq!(store.learnt(ExperimentId(1)).await.unwrap(), None);
    store.commit(&lease, &keep(1)).await.unwrap();
    store.commit(&other, &keep(7)).await.unwrap();
    store.commit(&lease, &keep(2)).await.unwrap();
    store.commit(&lease, &Batch { events: vec![noted(2)], ..Batch::default() }).await.unwrap();
    assert_eq!(store.learnt(ExperimentId(1)).await.unwrap(), Some(learnt(2)));
    store.commit(&lease, &Batch { delete: true, ..Batch::default() }).await.unwrap();
    assert_eq!(store.learnt(ExperimentId(1)).await.unwrap(), None);
    assert_eq!(store.learnt(ExperimentId(2)).await.unwrap(), Some(learnt(7)));
}

pub(super) async fn wishes_wait_until_they_are_taken(store: AnyStore) {
    create(&store, 1, "a").await;
    let first = store.wish(ExperimentId(1), &Wish::Stop { now: true }, Timestamp(1)).await.unwrap();
    let second = store.wish(ExperimentId(1), &Wish::Resume, Timestamp(2)).await.unwrap();
    let open = store.open_wishes(ExperimentId(1)).await.unwrap();
    assert_eq!(open.iter().map(|w| w.wish_no).collect::<Vec<_>>(), [first, second]);
    assert_eq!(open[0].wish, Wish::Stop { now: true });
    let lease = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    store.commit(&lease, &Batch { taken_wishes: vec![first], ..Batch::default() }).await.unwrap();
    assert_eq!(store.open_wishes(ExperimentId(1)).await.unwrap().len(), 1);
    assert_eq!(store.wished().await.unwrap(), BTreeSet::from([ExperimentId(1)]));
    store.commit(&lease, &Batch { taken_wishes: vec![second], ..Batch::default() }).await.unwrap();
    assert_eq!(store.wished().await.unwrap(), BTreeSet::new());
}

pub(super) async fn an_older_lease_cannot_write(store: AnyStore) {
    create(&store, 1, "a").await;
    let first = store.acquire(ExperimentId(1), "me").await.unwrap().unwrap();
    assert!(store.acquire(ExperimentId(1), "you").await.unwrap().is_none(), "it is held");
    assert_eq!(store.holder(ExperimentId(1)).await.unwrap().as_deref(), Some("me"));
    store.release(&first).await.unwrap();
    assert_eq!(store.holder(ExperimentId(1)).await.unwrap(), None);
    let second = store.acquire(ExperimentId(1), "you").await.unwrap().unwrap();
    assert!(second.generation > first.generation);
    let batch = Batch { events: vec![noted(2)], ..Batch::default() };
    assert!(matches!(store.commit(&first, &batch).await, Err(StoreError::LeaseLost(_))));
    store.commit(&second, &batch).await.unwrap();
}
