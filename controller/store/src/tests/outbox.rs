//! Records for others, on every store.

use std::sync::Arc;

use controller_core::ports::{Outbox, Promotions, Store, StoreError};
use controller_core::promotion::metadata::lease_of_line;
use controller_core::promotion::{
    Change, Delivery, Promotion, PromotionId, Record, Standing, Target, Version,
};
use controller_core::time::Timestamp;

use crate::Opened;

fn promotion(key: &str) -> Promotion {
    Promotion {
        id: PromotionId::of_key(key),
        key: key.into(),
        namespace: "default".into(),
        model: "digits".into(),
        ..Promotion::default()
    }
}

fn record(uri: &str, promotion: u64, at: i64) -> Record {
    let version = Version {
        namespace: "default".into(),
        model: "digits".into(),
        number: promotion,
        ..Version::default()
    };
    let target = Target::Mlflow { uri: uri.into(), registry: true };
    Record { target, promotion, by: "ada".into(), at: Timestamp(at), version, replaced: None }
}

async fn the_contract(opened: Opened) {
    let (store, promotions, outbox): (Arc<dyn Store>, Arc<dyn Promotions>, Arc<dyn Outbox>) =
        (opened.store, opened.promotions, opened.outbox);
    assert_eq!(outbox.lines().await.unwrap(), Vec::<String>::new());
    let first = promotions.propose(&promotion("aa")).await.unwrap();
    let old = store.acquire(first.lease(), "a").await.unwrap().unwrap();
    store.release(&old).await.unwrap();
    let model = store.acquire(first.lease(), "a").await.unwrap().unwrap();
    let queue = |records: Vec<Record>| Change { promotion: first.clone(), records, ..Change::default() };
    // Nothing is queued of what is not written.
    let lost = promotions.keep_promotion(&old, &queue(vec![record("http://a", 1, 1)])).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost(_))));
    assert_eq!(outbox.lines().await.unwrap(), Vec::<String>::new());
    let both = vec![record("http://b", 1, 10), record("http://a", 1, 10)];
    promotions.keep_promotion(&model, &queue(both)).await.unwrap();
    promotions.keep_promotion(&model, &queue(vec![record("http://a", 2, 20)])).await.unwrap();
    assert_eq!(outbox.lines().await.unwrap(), ["mlflow http://a", "mlflow http://b"]);
    // A line is told in its order, and by one at a time.
    let line = "mlflow http://a";
    let lease = store.acquire(lease_of_line(line), "a").await.unwrap().unwrap();
    assert_eq!(store.acquire(lease_of_line(line), "b").await.unwrap(), None);
    let head = outbox.first(line).await.unwrap().unwrap();
    assert_eq!((head.seq, head.record, head.waiting), (1, record("http://a", 1, 10), 2));
    assert_eq!((head.delivery, head.oldest), (Delivery::default(), Some(Timestamp(10))));
    let told = |standing| Delivery { standing, tries: 1, error: "no".into(), at: Timestamp(30) };
    outbox.delivered(&lease, line, 1, &told(Standing::Queued)).await.unwrap();
    let head = outbox.first(line).await.unwrap().unwrap();
    assert_eq!((head.seq, head.delivery), (1, told(Standing::Queued)));
    outbox.delivered(&lease, line, 1, &told(Standing::Delivered)).await.unwrap();
    let head = outbox.first(line).await.unwrap().unwrap();
    assert_eq!((head.seq, head.waiting, head.oldest), (2, 1, Some(Timestamp(20))));
    outbox.delivered(&lease, line, 2, &told(Standing::Refused)).await.unwrap();
    assert_eq!(outbox.first(line).await.unwrap(), None);
    assert_eq!(outbox.lines().await.unwrap(), ["mlflow http://b"]);
    // Whoever has lost the line writes nothing of it.
    store.release(&lease).await.unwrap();
    let again = store.acquire(lease_of_line(line), "b").await.unwrap().unwrap();
    assert!(matches!(
        outbox.delivered(&lease, line, 2, &told(Standing::Delivered)).await,
        Err(StoreError::LeaseLost(_))
    ));
    outbox.delivered(&again, line, 2, &told(Standing::Delivered)).await.unwrap();
    // What came of a promotion stays to be seen, and a new record goes behind it.
    let of_first = outbox.records("default", "digits", 1).await.unwrap();
    let standing: Vec<_> =
        of_first.iter().map(|queued| (queued.record.target.name(), queued.waiting)).collect();
    assert_eq!(standing, [("mlflow http://a".into(), 0), ("mlflow http://b".into(), 1)]);
    promotions.keep_promotion(&model, &queue(vec![record("http://a", 3, 40)])).await.unwrap();
    assert_eq!(outbox.first(line).await.unwrap().unwrap().seq, 3);
}

#[tokio::test]
async fn in_memory_and_in_a_file() {
    the_contract(crate::open_all("sqlite::memory:").await.unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    the_contract(crate::open_all(folder.path().join("cairn.db").to_str().unwrap()).await.unwrap()).await;
}

#[tokio::test]
async fn in_postgresql() {
    if std::env::var_os("CAIRN_NO_POSTGRES").is_some() {
        e2e::skipped("PostgreSQL: CAIRN_NO_POSTGRES is set");
        return;
    }
    the_contract(crate::open_all(&e2e::postgres::shared().database("outbox")).await.unwrap()).await;
}
