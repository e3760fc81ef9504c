//! The rungs of a trial's budget, from the settings.

use study::{Objective, Study, Watch};

use crate::settings::{Reader, SettingsError};

/// Share of the whole budget below which no rung lies, unless it is set.
const LOWEST: f64 = 1.0 / 27.0;

/// Steps at which trials are compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ladder {
    /// Steps of the rungs, rising, at least one; the whole budget is none of them.
    pub(super) levels: Vec<u64>,
    /// The whole budget of a trial, in steps.
    pub(super) whole: u64,
    /// Of how many trials one goes on, at least 2.
    pub(super) eta: usize,
}

impl Ladder {
    /// Reads `r_l` (the whole budget), `r_min` (the lowest rung) and `eta`. Rungs lie at `r_l eta^-s`, rounded down, down to
    /// the lowest.
    pub(super) fn read(reader: &mut Reader<'_>, name: &str) -> Result<Self, SettingsError> {
        let whole = reader.optional("r_l", "a whole number of at least 2", |whole: &u64| *whole >= 2)?;
        let lowest = reader.optional("r_min", "a whole number of at least 1", |lowest: &u64| *lowest >= 1)?;
        let eta = reader.get("eta", 3, "a whole number of at least 2", |eta: &usize| *eta >= 2)?;
        let unsuited = |problem: String| SettingsError::Unsuited { algorithm: name.into(), problem };
        let Some(whole) = whole else {
            return Err(unsuited(
                "it needs the setting r_l, the steps of a trial that runs to its end".into(),
            ));
        };
        let lowest = lowest.unwrap_or((whole as f64 * LOWEST) as u64).max(1);
        let mut levels: Vec<u64> =
            std::iter::successors(Some(whole as f64), |level| Some(level / eta as f64))
                .skip(1)
                .map(|level| (level + 1e-9).floor() as u64)
                .take_while(|level| *level >= lowest)
                .collect();
        levels.reverse();
        if levels.is_empty() {
            let problem = format!(
                "between its lowest rung of {lowest} and its whole budget of {whole} steps there is no rung at \
                 an eta of {eta}; use an r_l of at least {}",
                lowest.saturating_mul(eta as u64)
            );
            return Err(unsuited(problem));
        }
        Ok(Self { levels, whole, eta })
    }

    /// The highest rung that a step has reached, of those from `from` on.
    pub(crate) fn reached(&self, from: usize, step: u64) -> Option<usize> {
        let n = self.levels.partition_point(|level| *level <= step);
        (n > from).then(|| n - 1)
    }

    /// The rungs of a study, if its scheduler compares trials on rungs.
    pub(crate) fn of(study: &Study) -> Option<Self> {
        let written = study.early_stopping.as_ref()?;
        let on_rungs = matches!(written.name.as_str(), "asha" | "hyperband" | "successive-halving");
        on_rungs.then(|| Self::read(&mut Reader::new(written), &written.name).ok()).flatten()
    }

    /// Logarithm of a step in that of the whole budget, from 0 to 1.
    pub(crate) fn fidelity(&self, step: u64) -> f64 {
        ((step.max(1) as f64).ln() / (self.whole as f64).ln()).min(1.0)
    }

    /// Of so many trials on a rung, how many go on.
    pub(super) fn places(&self, n: usize) -> usize {
        n / self.eta
    }

    /// Every rung, and what lies beyond the whole budget.
    pub(super) fn watched(&self, pauses: bool) -> Watch {
        let beyond = self.whole.saturating_add(1);
        Watch { steps: self.levels.iter().copied().chain([beyond]).collect(), pauses }
    }

    /// Why a trial at this step is to end, if it has gone beyond its budget.
    pub(super) fn beyond(&self, step: u64) -> Option<String> {
        (step > self.whole)
            .then(|| format!("it reports step {step}, beyond its whole budget of {} steps", self.whole))
    }
}

/// The main objective of a study.
pub(super) fn objective(study: &Study, name: &str) -> Result<Objective, SettingsError> {
    study.objectives.first().cloned().ok_or_else(|| SettingsError::Unsuited {
        algorithm: name.into(),
        problem: "the study has no objective".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;

    fn ladder(settings: &[(&str, &str)]) -> Result<Ladder, String> {
        let written = algorithm("asha", settings);
        Ladder::read(&mut Reader::new(&written), "asha").map_err(|error| error.to_string())
    }

    #[test]
    fn rungs_fall_by_eta_from_the_whole_down_to_the_lowest() {
        let levels = |settings: &[(&str, &str)]| ladder(settings).unwrap().levels;
        assert_eq!(levels(&[("r_l", "81")]), [3, 9, 27]);
        assert_eq!(levels(&[("r_l", "81"), ("r_min", "1")]), [1, 3, 9, 27]);
        assert_eq!(levels(&[("r_l", "10")]), [1, 3]);
        assert_eq!(levels(&[("r_l", "16"), ("eta", "4")]), [1, 4]);
        let ladder = ladder(&[("r_l", "81")]).unwrap();
        assert_eq!(
            [2, 3, 8, 9, 500].map(|step| ladder.reached(0, step)),
            [None, Some(0), Some(0), Some(1), Some(2)]
        );
        assert_eq!(ladder.reached(2, 26), None);
        assert_eq!([81, 82].map(|step| ladder.beyond(step).is_some()), [false, true]);
    }

    #[test]
    fn settings_that_leave_no_rung_are_refused_with_the_way_out() {
        let refused = |settings: &[(&str, &str)], part: &str| {
            let error = ladder(settings).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused(&[], "needs the setting r_l");
        refused(&[("r_l", "27"), ("eta", "1")], "setting `eta` of algorithm `asha` is `1`");
        refused(&[("r_l", "2")], "use an r_l of at least 3");
        refused(&[("r_l", "1")], "a whole number of at least 2");
        refused(&[("r_l", "27"), ("r_min", "10")], "use an r_l of at least 30");
    }
}
