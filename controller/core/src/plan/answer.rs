//! What a suggestion service has answered.

use study::{Rule, Suggestion};

use super::snapshot::Snapshot;
use crate::ports::{AskRecord, Batch};
use crate::spec::Setting;
use crate::time::Timestamp;
use crate::trial::Origin;

/// The answer to a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// At most as many as were asked for.
    pub suggestions: Vec<Suggestion>,
    /// Rules that stop these trials on the spot.
    pub rules: Vec<Rule>,
    /// Whether nothing more will come.
    pub exhausted: bool,
    /// Settings that the service wants to be told the next time, beside those of the spec.
    pub settings: Vec<Setting>,
}

impl Snapshot {
    /// Takes in the answer to a question: its suggestions become trials. Places that it leaves open are asked for anew,
    /// unless nothing more will come.
    pub fn answer(&mut self, now: Timestamp, ask: AskRecord, answer: Answer, batch: &mut Batch) {
        self.asks.retain(|open| open.first_idx != ask.first_idx);
        overlay(&mut self.status.algorithm_settings, answer.settings);
        for suggestion in answer.suggestions {
            self.create(now, suggestion, Origin::Search, answer.rules.clone(), batch);
        }
        if answer.exhausted {
            // To later questions nothing more will come either.
            self.exhausted = true;
            self.drop_asks(batch);
        }
        batch.status = Some(self.status.clone());
    }
}

/// Puts settings over others: those of the same name are replaced, new ones come behind.
pub fn overlay(settings: &mut Vec<Setting>, over: impl IntoIterator<Item = Setting>) {
    for setting in over {
        match settings.iter_mut().find(|old| old.name == setting.name) {
            Some(old) => *old = setting,
            None => settings.push(setting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_replaced_by_name_and_else_added() {
        let setting = |name: &str, value: &str| Setting { name: name.into(), value: value.into() };
        let mut settings = vec![setting("eta", "3"), setting("r_l", "9")];
        overlay(&mut settings, [setting("r_l", "27"), setting("n", "1")]);
        assert_eq!(settings, [setting("eta", "3"), setting("r_l", "27"), setting("n", "1")]);
    }
}
