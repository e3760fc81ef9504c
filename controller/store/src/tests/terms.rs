//! Servers that share a store: one writes, whatever the others believe.

use std::sync::Arc;

use controller_core::experiment::{ExperimentId, ExperimentStatus};
use controller_core::ports::{Batch, Collected, Pushed, Store, StoreError, Terms, Wish};
use controller_core::time::Timestamp;
use study::TrialIdx;

use super::contract::{RUN, create, row};

const SCOPE: &str = "a cluster/";

type Server = (Arc<dyn Store>, Arc<dyn Terms>);

async fn open(url: &str) -> Server {
    let opened = crate::open_all(url).await.unwrap();
    (opened.store, opened.terms)
}

/// Two servers of one store.
async fn two_of_a_file(folder: &tempfile::TempDir) -> (Server, Server) {
    let path = folder.path().join("cairn.db");
    let url = path.to_str().unwrap();
    (open(url).await, open(url).await)
}

async fn two_of_postgres(name: &str) -> Option<(Server, Server)> {
    if std::env::var_os("CAIRN_NO_POSTGRES").is_some() {
        e2e::skipped("PostgreSQL: CAIRN_NO_POSTGRES is set");
        return None;
    }
    let url = e2e::postgres::shared().database(name);
    // As two pods of one Deployment begin.
    let (first, second) = tokio::join!(open(&url), open(&url));
    Some((first, second))
}

/// Every kind of write is refused.
async fn assert_writes_nothing(store: &Arc<dyn Store>, word: &str) {
    let (id, at) = (ExperimentId(1), Timestamp(1));
    let pushed = Pushed { metric: "loss".into(), time: at, text: "1".into(), value: Some(1.0) };
    let record = super::contract::record(2, "b");
    let refused = [
        store.create_experiment(&record, &ExperimentStatus::default(), &[]).await.err(),
        store.wish(id, &Wish::Resume, at).await.err(),
        store.acquire(ExperimentId(9), "me").await.err(),
        store.append(&[(RUN, vec![row(0, "1")])]).await.err(),
        store.push(RUN, &[pushed]).await.err(),
        store.put_collected(RUN, &Collected::default(), at).await.err(),
        store.delete_observations(id, TrialIdx(0)).await.err(),
        store.purge(id).await.err(),
    ];
    for (i, error) in refused.into_iter().enumerate() {
        let said = matches!(&error, Some(StoreError::StandsBy(text)) if text.contains(word));
        assert!(said, "write {i}: {error:?}");
    }
}

async fn the_next_term_writes_and_the_one_before_does_not((first, second): (Server, Server)) {
    create(&first.0, 1, "a").await;
    let one = first.1.take_term(SCOPE, "one").await.unwrap();
    let lease = first.0.acquire(ExperimentId(1), "one").await.unwrap().unwrap();
    first.0.commit(&lease, &Batch::default()).await.unwrap();

    // The first sleeps: it has given nothing back.
    let two = second.1.take_term(SCOPE, "two").await.unwrap();
    assert_eq!((one.number, two.number), (1, 2));
    let taken = second.0.acquire(ExperimentId(1), "two").await.unwrap().expect("no lock is in its way");
    assert!(taken.generation > lease.generation);
    assert_eq!(second.0.holder(ExperimentId(1)).await.unwrap().as_deref(), Some("two"));

    // It wakes up.
    let commit = first.0.commit(&lease, &Batch::default()).await;
    assert!(matches!(commit, Err(StoreError::StandsBy(text)) if text.contains("term 1 is over: two")));
    assert_writes_nothing(&first.0, "two has taken the next").await;
    assert!(first.1.raise_epoch(&one, 0).await.is_err());
    second.0.commit(&taken, &Batch::default()).await.unwrap();

    // Another cluster's servers have nothing to do with it.
    first.1.take_term("another/", "one").await.unwrap();
    create(&first.0, 2, "b").await;
    second.0.commit(&taken, &Batch::default()).await.unwrap();
}

#[tokio::test]
async fn terms_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    the_next_term_writes_and_the_one_before_does_not(two_of_a_file(&folder).await).await;
}

#[tokio::test]
async fn terms_of_postgres() {
    let Some(two) = two_of_postgres("terms").await else { return };
    the_next_term_writes_and_the_one_before_does_not(two).await;
}

#[tokio::test]
async fn who_stands_by_reads_only() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two_of_a_file(&folder).await;
    create(&first.0, 1, "a").await;
    second.1.stand_by("one leads");
    assert_writes_nothing(&second.0, "one leads").await;
    assert!(second.0.experiment("default", "a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_sleeps_in_the_middle_of_a_write_holds_up_nobody() {
    let Some((first, second)) = two_of_postgres("sleeps").await else { return };
    first.1.take_term(SCOPE, "one").await.unwrap();
    let url = e2e::postgres::shared().address("sleeps");
    let mut sleeper = crate::database::Database::open(&url).await.unwrap().begin().await.unwrap();
    sqlx::query("SELECT term FROM terms FOR SHARE").fetch_all(&mut *sleeper).await.unwrap();
    let two = second.1.take_term(SCOPE, "two").await.unwrap();
    assert_eq!(two.number, 2);
    sleeper.commit().await.expect_err("its session is gone");
}

#[tokio::test]
async fn the_epoch_rises_with_terms_and_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = two_of_a_file(&folder).await;
    assert_eq!(first.1.epoch(SCOPE).await.unwrap(), None);
    let one = first.1.take_term(SCOPE, "one").await.unwrap();
    assert_eq!(first.1.raise_epoch(&one, 0).await.unwrap(), one.epoch + 1);
    assert_eq!(first.1.raise_epoch(&one, 40).await.unwrap(), 40);
    assert_eq!(second.1.epoch(SCOPE).await.unwrap(), Some(40));
    assert_eq!(first.1.written(), 0, "an epoch is nothing that was written");
    create(&first.0, 1, "a").await;
    assert_eq!(first.1.written(), 1);
    assert_eq!(second.1.take_term(SCOPE, "two").await.unwrap().epoch, 41);
}
