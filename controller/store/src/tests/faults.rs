//! Databases that cannot be used, and disks that are full.

use controller_core::experiment::ExperimentId;
use controller_core::ports::{ObservationQuery, StoreError};
use controller_core::time::Timestamp;

use super::contract::{RUN, create, row};

async fn refusal(url: &str) -> String {
    match crate::open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "x").unwrap();
    let text = refusal(blocked.join("cairn.db").to_str().unwrap()).await;
    assert!(text.contains("file/cairn.db") && text.contains("--store"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cairn.db");
    std::fs::write(&file, vec![b'x'; 4096]).unwrap();
    let text = refusal(file.to_str().unwrap()).await;
    assert!(text.contains("not a database"), "{text}");
}

#[tokio::test]
async fn a_store_of_a_newer_cairn_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let url = path.to_str().unwrap();
    crate::open(url).await.unwrap();
    let pool = sqlx::AnyPool::connect(&format!("sqlite:{url}")).await.unwrap();
    sqlx::query("INSERT INTO cairn_schema (version) VALUES (999)").execute(&pool).await.unwrap();
    assert!(refusal(url).await.contains("newer Cairn"));
}

#[tokio::test]
async fn what_is_no_store_at_all_is_said() {
    assert!(refusal("mysql://host/db").await.contains("is no store"));
    assert!(refusal("postgres://127.0.0.1:1/none").await.contains("cannot reach PostgreSQL"));
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let store = crate::store::SqlStore::open(path.to_str().unwrap()).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 120").execute(store.writer()).await.unwrap();
    let store: std::sync::Arc<dyn controller_core::ports::Store> = std::sync::Arc::new(store);
    create(&store, 1, "a").await;
    let mut kept = 0;
    let error = loop {
        let rows = (kept..kept + 100).map(|i| row(i, &"9".repeat(100))).collect();
        match store.append(&[(RUN, rows)]).await {
            Ok(()) => kept += 100,
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("full")), "{error}");
    let count = async || {
        let other = crate::open(path.to_str().unwrap()).await.unwrap();
        other.observations(ExperimentId(1), &ObservationQuery::default()).await.unwrap().len() as u64
    };
    assert_eq!(count().await, kept);
    // However often it is tried, what is acknowledged afterwards is there for others too.
    for _ in 0..3 {
        let rows = (kept..kept + 100).map(|i| row(i, &"9".repeat(100))).collect();
        if store.append(&[(RUN, rows)]).await.is_ok() {
            kept += 100;
        }
        let few: Vec<_> = vec![row(kept, "1")];
        if store.append(&[(RUN, few)]).await.is_ok() {
            kept += 1;
        }
        assert_eq!(count().await, kept);
    }
}

#[tokio::test]
async fn a_database_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    sqlx::query("CREATE TABLE experiments (mine TEXT)").execute(&pool).await.unwrap();
    assert!(refusal(path.to_str().unwrap()).await.contains("tables of something else"));
}

#[tokio::test]
async fn a_password_is_not_repeated() {
    let text = refusal("postgres://me:secret@127.0.0.1:1/none").await;
    assert!(text.contains("at 127.0.0.1:1/none: Connection refused") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_second_process_waits_for_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let first = crate::open(path.to_str().unwrap()).await.unwrap();
    let second = crate::open(path.to_str().unwrap()).await.unwrap();
    create(&first, 1, "a").await;
    let lease = first.acquire(ExperimentId(1), "first").await.unwrap().unwrap();
    assert!(second.acquire(ExperimentId(1), "second").await.unwrap().is_none());
    first.release(&lease).await.unwrap();
    assert!(second.acquire(ExperimentId(1), "second").await.unwrap().is_some());
}

#[tokio::test]
async fn what_another_process_writes_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let first = crate::open(path.to_str().unwrap()).await.unwrap();
    let second = crate::open(path.to_str().unwrap()).await.unwrap();
    create(&first, 1, "a").await;
    assert_eq!(second.experiments().await.unwrap()[0].status.last_seq, 0);
    let lease = first.acquire(ExperimentId(1), "first").await.unwrap().unwrap();
    let status = controller_core::experiment::ExperimentStatus { last_seq: 5, ..Default::default() };
    let batch = controller_core::ports::Batch { status: Some(status), ..Default::default() };
    first.commit(&lease, &batch).await.unwrap();
    assert_eq!(second.experiments().await.unwrap()[0].status.last_seq, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_write_at_once_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cairn.db");
    let first = crate::open(path.to_str().unwrap()).await.unwrap();
    let second = crate::open(path.to_str().unwrap()).await.unwrap();
    for (id, name) in [(1, "a"), (2, "b")] {
        create(&first, id, name).await;
    }
    let wishes = async |store: std::sync::Arc<dyn controller_core::ports::Store>, id| {
        for n in 1..=50 {
            let wish = controller_core::ports::Wish::Stop { now: false };
            assert_eq!(store.wish(ExperimentId(id), &wish, Timestamp(n)).await.unwrap(), n);
        }
    };
    tokio::join!(wishes(first, 1), wishes(second, 2));
}
