//! Which of several Cairns acts upon a cluster. The others stand by.
//!
//! A Lease says when to take over ([`decide`]): whoever holds it renews it, and one that is not renewed may be taken. It
//! fences nothing. That is what the term in the store is for, which is begun right after: whoever has not the newest
//! writes nothing, however long it slept ([`Terms`]). So an API server that is away ends nothing, as nobody can take the
//! Lease meanwhile.
//!
//! The Lease `cairn` lies in the one namespace that is looked at, or in Cairn's own where all are. Of several installs in
//! one cluster an annotation of the custom resources says which one's Lease counts ([`claim`]): they are the one thing
//! that all installs share, and to write them takes a right that whoever acts for the whole cluster has anyway. Nobody
//! acts where Katib does ([`katib`]), nor with a store that is older than what the Lease tells of it.

mod claim;
mod decide;
mod katib;
mod record;
mod role;

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::{StoreError, Term, Terms};
use controller_core::time::Clock;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::answer::{self, Doing};
use crate::client::Cluster;
use decide::{Seen, Sight, Step};
use record::Record;

/// How long after its last renewal a Lease may be taken.
const DURATION: Duration = Duration::from_secs(10);
/// How often it is renewed, and how often those who stand by look at it.
const EVERY: Duration = Duration::from_secs(2);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a leader looks for a Katib.
const SELDOM: Duration = Duration::from_mins(1);

/// Why a Cairn does not act.
#[derive(Debug, Error)]
pub enum Obstacle {
    /// Another one acts.
    #[error("{holder} leads: it holds the Lease {place}")]
    Held {
        /// Who.
        holder: String,
        /// Namespace and name.
        place: String,
    },
    /// One of another install acts.
    #[error("{holder} of another install leads: it holds the Lease {place}")]
    Elsewhere {
        /// Who.
        holder: String,
        /// Namespace and name.
        place: String,
    },
    /// Katib acts.
    #[error("Katib acts in this cluster ({0}); take it away first, or both would run every trial")]
    Katib(String),
    /// The store was put back from a copy, or is another one.
    #[error(
        "the store is older than what it has shown in the cluster (epoch {store}, the Lease says {cluster}): \
         name the right one with --store, or let it learn from the cluster with `cairn recover --from-cluster`"
    )]
    StoreBehind {
        /// Of the store.
        store: i64,
        /// Of the Lease.
        cluster: i64,
    },
    /// The store fails, or says that the term is over.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cluster does not answer, or refuses.
    #[error("the Lease cannot be kept: {0}")]
    Cluster(String),
}

impl Obstacle {
    /// Whether who leads goes on all the same: nobody else can have taken over.
    fn passes(&self) -> bool {
        match self {
            Self::Cluster(_) => true,
            Self::Store(error) => !matches!(error, StoreError::StandsBy(_)),
            Self::Held { .. } | Self::Elsewhere { .. } | Self::Katib(_) | Self::StoreBehind { .. } => false,
        }
    }

    pub(crate) fn of(error: &kube::Error, doing: &Doing<'_>) -> Self {
        Self::Cluster(answer::message(error, doing))
    }
}

/// One that would lead.
pub struct Candidate {
    /// Its name, which no other has.
    pub name: String,
    /// Which process it is, for [`Candidate::is_dead`].
    pub process: String,
    /// Whether a process, so described, is known to have ended; one of another machine never is.
    pub is_dead: fn(&str) -> bool,
}

/// What a Cairn does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing, and why.
    StandsBy(String),
    /// It acts, as this.
    Leads(String),
}

/// The way to the lead, and the keeping of it.
pub struct Leadership {
    cluster: Cluster,
    terms: Arc<dyn Terms>,
    clock: Arc<dyn Clock>,
    me: Candidate,
    sight: Sight,
    /// The same for the Lease of another install.
    elsewhere: Sight,
    record: Record,
    standing: watch::Sender<Standing>,
    seldom: Instant,
    /// How often the store had been written when it was last said how far it has come. That is said with every renewal of the
    /// Lease: what is written in between may be missing from a copy that is put back without being noticed.
    written: u64,
    /// Whether it leads though its store is behind what the Lease says, to catch up.
    recovers: bool,
}

impl Leadership {
    /// Stands by.
    pub fn new(cluster: Cluster, terms: Arc<dyn Terms>, clock: Arc<dyn Clock>, me: Candidate) -> Self {
        let record = Record::new(&cluster);
        let begun = "this Cairn stands by: it has only begun".to_owned();
        terms.stand_by(&begun);
        let (standing, _) = watch::channel(Standing::StandsBy(begun));
        Self {
            cluster,
            terms,
            clock,
            me,
            sight: Sight::default(),
            elsewhere: Sight::default(),
            record,
            standing,
            seldom: Instant::now(),
            written: 0,
            recovers: false,
        }
    }

    /// The same to catch up with the cluster, with a store that is behind it.
    #[must_use]
    pub fn recovering(self) -> Self {
        Self { recovers: true, ..self }
    }

    /// What it does, as it changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Stands by until it leads. A cluster or a store that fails is waited for.
    pub async fn win(&mut self) -> Term {
        loop {
            let tried = tokio::time::timeout(DURATION + PATIENCE, self.attempt()).await;
            match tried.unwrap_or_else(|_| Err(late())) {
                Ok(term) => {
                    info!(term = term.number, lease = self.record.place(), "this Cairn leads");
                    self.standing.send_replace(Standing::Leads(self.me.name.clone()));
                    self.seldom = Instant::now();
                    return term;
                }
                Err(obstacle) => self.stand_by(&obstacle.to_string()),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Keeps the lead for as long as possible; why it is lost.
    pub async fn keep(&mut self, term: &Term) -> Obstacle {
        let mut epoch = term.epoch;
        let mut silent: Option<String> = None;
        let mut marked = false;
        loop {
            let renewed = tokio::time::timeout(PATIENCE, self.renew(term, &mut epoch)).await;
            match renewed.unwrap_or_else(|_| Err(late())) {
                Ok(()) => silent = None,
                Err(obstacle) if obstacle.passes() => {
                    let why = obstacle.to_string();
                    if silent.as_ref() != Some(&why) {
                        warn!(
                            why,
                            "the lead could not be renewed; it goes on, as nobody else writes the store"
                        );
                    }
                    silent = Some(why);
                }
                Err(obstacle) => return obstacle,
            }
            if !marked && silent.is_none() {
                marked = tokio::time::timeout(PATIENCE, role::mark(&self.cluster)).await.unwrap_or(false);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Says that the store knows what the cluster shows: it is ahead of what the Lease says from now on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn catch_up(&mut self, term: &Term) -> Result<(), StoreError> {
        let shown = self.record.epoch().unwrap_or(0);
        self.terms.raise_epoch(term, shown + 1).await.map(drop)
    }

    /// Gives the lead back, so that another need not wait.
    pub async fn resign(&mut self) {
        self.terms.stand_by("this Cairn ends");
        let given = tokio::time::timeout(PATIENCE, self.record.give_back(&self.me)).await;
        if let Err(obstacle) = given.unwrap_or_else(|_| Err(late())) {
            warn!(why = %obstacle, "the Lease could not be given back; others wait until it is over");
        }
    }

    async fn attempt(&mut self) -> Result<Term, Obstacle> {
        if let Some(found) = katib::alive(&self.cluster, self.clock.now()).await? {
            return Err(Obstacle::Katib(found));
        }
        claim::make(&self.cluster, &mut self.elsewhere).await?;
        let seen = self.record.read().await?;
        if let Step::Wait { holder } = self.step(false, seen.as_ref()) {
            return Err(Obstacle::Held { holder, place: self.record.place() });
        }
        let scope = self.cluster.scope();
        let store = self.terms.epoch(&scope).await?.unwrap_or(0);
        let shown = seen.as_ref().and_then(|seen| seen.epoch);
        if let Some(cluster) = shown.filter(|epoch| *epoch > store && !self.recovers) {
            return Err(Obstacle::StoreBehind { store, cluster });
        }
        self.record.write(&self.me, store, self.clock.now()).await?;
        let term = match self.terms.take_term(&scope, &self.me.name).await {
            Ok(term) => term,
            Err(error) => {
                // Somebody else may have a better way to the store.
                self.record.give_back(&self.me).await.ok();
                return Err(error.into());
            }
        };
        Ok(term)
    }

    async fn renew(&mut self, term: &Term, epoch: &mut i64) -> Result<(), Obstacle> {
        let seen = self.record.read().await?;
        if let Step::Lost { holder } = self.step(true, seen.as_ref()) {
            return Err(Obstacle::Held { holder, place: self.record.place() });
        }
        claim::keep(&self.cluster).await?;
        if self.seldom.elapsed() > SELDOM {
            if let Some(found) = katib::alive(&self.cluster, self.clock.now()).await? {
                return Err(Obstacle::Katib(found));
            }
            self.seldom = Instant::now();
        }
        let written = self.terms.written();
        if written != self.written {
            // The store first: it is never behind what the Lease says of it.
            *epoch = self.terms.raise_epoch(term, 0).await?;
            self.written = written;
        }
        self.record.write(&self.me, *epoch, self.clock.now()).await
    }

    fn step(&mut self, had: bool, seen: Option<&Seen>) -> Step {
        let unchanged = self.sight.look(seen, Instant::now());
        let is_dead = seen.is_some_and(|seen| (self.me.is_dead)(&seen.process));
        decide::step(&self.me.name, had, seen, unchanged, is_dead)
    }

    fn stand_by(&self, why: &str) {
        let text = format!("this Cairn stands by: {why}");
        self.terms.stand_by(&text);
        let news = Standing::StandsBy(text);
        if *self.standing.borrow() != news {
            info!(why, "standing by");
            self.standing.send_replace(news);
        }
    }
}

fn late() -> Obstacle {
    Obstacle::Cluster(format!("no answer within {} s", PATIENCE.as_secs()))
}
