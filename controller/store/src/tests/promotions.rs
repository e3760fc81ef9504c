//! Promotions, versions and the audit log, on every store.

use std::sync::Arc;

use controller_core::ports::{PromotionQuery, Promotions, Store, StoreError};
use controller_core::promotion::{
    Candidate, Change, Deed, Promotion, PromotionId, PromotionState, PromotionWish, Serving, Version, audit,
};
use controller_core::run::Model;
use controller_core::time::Timestamp;

use crate::Opened;

fn promotion(key: &str) -> Promotion {
    let artifact = Model { digest: key.into(), uri: format!("file:///{key}"), ..Model::default() };
    Promotion {
        id: PromotionId::of_key(key),
        key: key.into(),
        namespace: "default".into(),
        model: "digits".into(),
        candidate: Candidate { artifact, ..Candidate::default() },
        ..Promotion::default()
    }
}

fn deed(detail: &str) -> Deed {
    Deed {
        at: Timestamp(5),
        actor: "ada".into(),
        namespace: "default".into(),
        model: "digits".into(),
        promotion: 1,
        deed: "wanted".into(),
        detail: detail.into(),
    }
}

/// The end of a promotion that makes this version the champion.
fn success(promotion: &Promotion, number: u64) -> Change {
    let version = Version {
        namespace: promotion.namespace.clone(),
        model: promotion.model.clone(),
        number,
        candidate: promotion.candidate.clone(),
        ..Version::default()
    };
    Change {
        promotion: Promotion {
            state: PromotionState::Succeeded,
            ended: Some(Timestamp(9)),
            ..promotion.clone()
        },
        version: Some(version),
        champion: Some(number),
        serving: None,
        records: vec![],
        deeds: vec![deed("a"), deed("b")],
        taken: vec![],
    }
}

async fn the_contract(opened: Opened) {
    let (store, promotions): (Arc<dyn Store>, Arc<dyn Promotions>) = (opened.store, opened.promotions);
    // Numbers go up; the same key is the same promotion.
    let first = promotions.propose(&promotion("aa")).await.unwrap();
    let second = promotions.propose(&promotion("bb")).await.unwrap();
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(promotions.propose(&promotion("aa")).await.unwrap(), first);
    assert_eq!(promotions.promotion(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(promotions.champion("default", "digits").await.unwrap(), None);
    // Wishes wait until they are taken.
    let wish = PromotionWish::Cancel { by: "ada".into(), reason: "no".into() };
    let wish_no = promotions.wish_of_promotion(first.id, &wish, Timestamp(3)).await.unwrap();
    let open = promotions.wishes_of_promotion(first.id).await.unwrap();
    assert_eq!((open.len(), open[0].wish_no, &open[0].wish), (1, wish_no, &wish));
    assert!(promotions.wishes_of_promotion(second.id).await.unwrap().is_empty());
    // All or nothing, under the newest lease alone.
    let lease = store.acquire(first.lease(), "me").await.unwrap().unwrap();
    let old = controller_core::ports::Lease { generation: lease.generation - 1, ..lease.clone() };
    let late = promotions.keep_promotion(&old, &success(&first, 1)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))));
    assert!(promotions.audit(0).await.unwrap().is_empty());
    let change = Change { taken: vec![wish_no], ..success(&first, 1) };
    promotions.keep_promotion(&lease, &change).await.unwrap();
    assert!(promotions.wishes_of_promotion(first.id).await.unwrap().is_empty());
    promotions.keep_promotion(&lease, &success(&second, 2)).await.unwrap();
    assert!(promotions.keep_promotion(&lease, &success(&second, 2)).await.is_err(), "a version is made once");
    // What came of it.
    let champion = promotions.champion("default", "digits").await.unwrap().unwrap();
    assert_eq!((champion.number, champion.digest()), (2, "bb"));
    let versions = promotions.versions("default", "digits").await.unwrap();
    assert_eq!(versions.iter().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    let models = promotions.models().await.unwrap();
    assert_eq!((models.len(), models[0].champion, models[0].since), (1, 2, Timestamp(9)));
    let third = promotions.propose(&promotion("cc")).await.unwrap();
    let query = PromotionQuery { model: Some("digits".into()), open: true, ..PromotionQuery::default() };
    assert_eq!(promotions.promotions(&query).await.unwrap(), [third]);
    assert_eq!(promotions.promotions(&PromotionQuery::default()).await.unwrap().len(), 3);
    // Servers, with a step or by themselves.
    assert_eq!(promotions.serving("default", "digits").await.unwrap(), None);
    let servers = |generation| Serving {
        namespace: "default".into(),
        model: "digits".into(),
        generation,
        ..Serving::default()
    };
    let change = Change { promotion: second.clone(), serving: Some(servers(1)), ..Change::default() };
    promotions.keep_promotion(&lease, &change).await.unwrap();
    assert_eq!(promotions.serving("default", "digits").await.unwrap(), Some(servers(1)));
    promotions.keep_serving(&lease, &servers(2)).await.unwrap();
    assert!(matches!(promotions.keep_serving(&old, &servers(3)).await, Err(StoreError::LeaseLost(_))));
    assert_eq!(promotions.all_serving().await.unwrap(), [servers(2)]);
    // What belongs to no step goes into the same chain.
    promotions.note(&deed("drifted")).await.unwrap();
    let log = promotions.audit(0).await.unwrap();
    assert_eq!((log.len(), audit::verify(&log)), (5, Ok(())));
    assert_eq!(log[4].deed, deed("drifted"));
    assert_eq!(promotions.audit(3).await.unwrap(), log[3..]);
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
    the_contract(crate::open_all(&e2e::postgres::shared().database("promotions")).await.unwrap()).await;
}
