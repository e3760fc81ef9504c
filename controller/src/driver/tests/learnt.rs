//! What was learnt is kept, so that a restart learns little of it again.

use std::time::Duration;

use controller_core::ports::{Batch, Learnt, Store as _};

use super::audit::Told;
use super::world::{Spec, Story};

const TRIALS: u32 = 48;
/// So many end before everything is started anew; what was learnt is kept after 32.
const BEFORE: u64 = 40;

/// Tells the story with a driver and a service that are started anew in the middle, after `meanwhile` was done to what is kept;
/// how often the history was sent after that.
async fn told(meanwhile: impl FnOnce(Learnt) -> Learnt) -> (Told, usize) {
    let story = Story::of(&Spec::of("enas", 1, TRIALS)).await;
    let enough = async {
        while story.status().await.counters.succeeded < BEFORE {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let life = async {
        tokio::select! {
            () = story.all_end_well() => {}
            () = enough => {}
        }
    };
    story.drive_until(life).await;
    let kept = story.store.learnt(story.id).await.unwrap().unwrap();
    assert!(kept.prefix.seq >= 64);
    let lease = story.store.acquire(story.id, "meanwhile").await.unwrap().unwrap();
    let batch = Batch { learnt: Some(meanwhile(kept)), ..Batch::default() };
    story.store.commit(&lease, &batch).await.unwrap();
    story.store.release(&lease).await.unwrap();
    story.search.down();
    story.search.up().await;
    let n_loads = story.search.n_loads();
    assert!(story.drive_to_rest(story.all_end_well()).await.is_completed());
    (story.told().await, story.search.n_loads() - n_loads)
}

async fn undisturbed() -> Told {
    let story = Story::of(&Spec::of("enas", 1, TRIALS)).await;
    story.drive_to_rest(story.all_end_well()).await;
    story.told().await
}

#[tokio::test(start_paused = true)]
async fn what_was_learnt_is_kept_and_spares_the_history() {
    let (told, n_loads) = told(|kept| kept).await;
    assert_eq!(n_loads, 0);
    told.assert_same(&undisturbed().await, "learnt before");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_and_of_no_use_is_learnt_again() {
    let undisturbed = undisturbed().await;
    let older = |kept| Learnt { by: "0.0.0 of another build".into(), ..kept };
    let broken = |kept: Learnt| Learnt { state: kept.state[9..].to_vec(), ..kept };
    let other = |mut kept: Learnt| {
        kept.prefix.digest.0[0] ^= 1;
        kept
    };
    for (which, (told, n_loads)) in [
        ("older", told(older).await),
        ("broken", told(broken).await),
        ("of another history", told(other).await),
    ] {
        assert!(n_loads > 0, "{which}");
        told.assert_same(&undisturbed, which);
    }
}
