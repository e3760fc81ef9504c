//! Carrying out wishes.

use ::study::TrialIdx;

use super::judge::{KILL_WANTED, STOP_WANTED};
use super::limits::Limits;
use super::snapshot::Snapshot;
use crate::event::Event;
use crate::experiment::{Earlier, Hold};
use crate::ports::{Batch, StoredWish, Wish};
use crate::study;
use crate::time::Timestamp;
use crate::validate;

impl Snapshot {
    /// Carries out a wish that needs no free place.
    pub(super) fn take(&mut self, now: Timestamp, stored: StoredWish, batch: &mut Batch) {
        self.wishes.retain(|wish| wish.wish_no != stored.wish_no);
        batch.taken_wishes.push(stored.wish_no);
        match stored.wish {
            Wish::Stop { .. } | Wish::Resume if self.status.hold == Hold::Deleting => {}
            Wish::Stop { .. } | Wish::Resume if self.record.spec.schedule.is_some() => {}
            Wish::Stop { .. } if self.status.is_completed() => {}
            Wish::Stop { now: at_once } => {
                self.status.hold = if at_once { Hold::Stopped } else { self.status.hold.max_draining() };
                let message = if at_once {
                    "Experiment is stopped; running trials end and go on later"
                } else {
                    "Experiment is stopped; running trials finish"
                };
                self.condition(now, "Running", false, "ExperimentStopped", message, batch);
            }
            Wish::Resume => self.status.hold = Hold::Free,
            Wish::Delete => self.status.hold = Hold::Deleting,
            edit @ (Wish::Edit { .. } | Wish::Lift { .. } | Wish::EditSpace { .. }) => {
                self.edit(now, &edit, batch);
            }
            Wish::StopTrial { trial } => {
                self.want_ended(now, trial, KILL_WANTED, "a person wants it stopped", batch);
            }
            Wish::StopEarly { trial } => {
                self.want_ended(now, trial, STOP_WANTED, "a rule has stopped it", batch);
            }
            Wish::Enqueue { .. } | Wish::RetryTrial { .. } => {
                let why = if self.is_outside(&stored.wish) {
                    "it lies outside of the space, which was edited"
                } else {
                    "the experiment is over"
                };
                let message = format!("a point could not be queued: {why}");
                self.log(now, Event::Noted { trial: None, message }, batch);
            }
        }
    }

    /// Budgets bound the search, and some algorithms go by them.
    fn edit(&mut self, now: Timestamp, wish: &Wish, batch: &mut Batch) {
        let spec = validate::edited(&self.record.spec, wish);
        let change = match wish {
            Wish::EditSpace { .. } => validate::space_changes(&self.record.spec, &spec).join("; "),
            Wish::Lift { budgets } => format!("{} no longer bounds it", budgets.join(", ")),
            _ => "budgets were edited".to_owned(),
        };
        let (Ok(study), _) = study::of_spec(&spec, &self.record.name, self.record.seed) else {
            let message = "an edit was not carried out: there would be nothing to search".to_owned();
            return self.log(now, Event::Noted { trial: None, message }, batch);
        };
        if study != self.study {
            // Whoever answers from now on sees another study: what is not answered is asked anew.
            self.drop_asks(batch);
            self.exhausted = false;
            let (until, n_trials) = (self.status.last_seq, self.status.counters.total());
            let study = std::mem::replace(&mut self.study, study);
            self.record.earlier.push(Earlier { until, n_trials, study });
        }
        self.record.spec_digest = spec.digest();
        self.record.spec = spec;
        self.limits = Limits::of_spec(&self.record.spec);
        self.limits.edited_since_end = true;
        batch.experiment = Some(self.record.clone());
        self.log(now, Event::Edited { change }, batch);
    }

    fn want_ended(
        &mut self,
        now: Timestamp,
        trial: TrialIdx,
        reason: &str,
        message: &str,
        batch: &mut Batch,
    ) {
        let Some(record) = self.active.get_mut(&trial) else {
            let message = "the trial could not be stopped: it has ended".to_owned();
            return self.log(now, Event::Noted { trial: Some(trial), message }, batch);
        };
        record.reason = reason.into();
        record.message = message.into();
        self.touch(trial, batch);
    }
}

impl Hold {
    /// At least draining.
    fn max_draining(self) -> Self {
        if self == Self::Free { Self::Draining } else { self }
    }
}
