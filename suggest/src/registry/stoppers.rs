//! What stops trials or lets them wait: all that is known of each, in one place.

use algorithms::Scheduler;
use algorithms::schedule::{Asha, Hyperband, Learning, Patience, QuantileStop, Threshold};
use algorithms::settings::SettingsError;
use study::Study;

use super::Setting;

/// What is said of a scheduler, and how it is made.
pub(super) struct Stopper {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) settings: &'static [Setting],
    pub(super) source: &'static str,
    pub(super) make: fn(&Study) -> Result<Box<dyn Scheduler>, SettingsError>,
}

impl Stopper {
    /// The scheduler of a name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        STOPPERS.iter().find(|stopper| stopper.name == name)
    }
}

const FIRST: Setting = ("min_trials_required", "3", "succeeded trials before which nobody is stopped");
const START: Setting = ("start_step", "4", "reports of a trial that are looked at");
const WHOLE: Setting = ("r_l", "", "steps of a trial that runs to its end; needed");
const LOWEST: Setting = ("r_min", "r_l / 27", "the lowest step at which trials are compared");
const ETA: Setting = ("eta", "3", "of how many trials one goes on, for so many times the steps");

pub(super) const STOPPERS: &[Stopper] = &[
    Stopper {
        name: "medianstop",
        summary: "ends trials that are worse than the median of the others was by then",
        settings: &[FIRST, START],
        source: "Golovin et al. 2017, KDD",
        make: |study| Ok(Box::new(QuantileStop::median(study)?)),
    },
    Stopper {
        name: "percentile",
        summary: "the same for another share than half",
        settings: &[
            FIRST,
            START,
            ("percentile", "25", "percent of the others that a trial must be among, above 0 and below 100"),
        ],
        source: "Golovin et al. 2017, KDD",
        make: |study| Ok(Box::new(QuantileStop::percentile(study)?)),
    },
    Stopper {
        name: "threshold",
        summary: "ends trials that are worse than a bound",
        settings: &[
            ("value", "", "the worst value of the objective that may go on; needed"),
            ("start_step", "4", "reports of a trial before which it is not ended"),
        ],
        source: "rule of Cairn",
        make: |study| Ok(Box::new(Threshold::new(study)?)),
    },
    Stopper {
        name: "patience",
        summary: "ends trials that have not become better for so many reports",
        settings: &[
            ("patience", "10", "reports without a better one after which a trial ends"),
            ("min_delta", "0", "by how much a report must be better"),
        ],
        source: "Prechelt 1998, Neural Networks: Tricks of the Trade",
        make: |study| Ok(Box::new(Patience::new(study)?)),
    },
    Stopper {
        name: "learning-curve",
        summary: "ends trials whose curve will hardly end better than the best",
        settings: &[
            WHOLE,
            ("min_reports", "6", "reports before which nothing is foretold, at least 4"),
            ("chance", "0.05", "chance to beat the best below which a trial ends"),
        ],
        source: "Domhan et al. 2015, IJCAI",
        make: |study| Ok(Box::new(Learning::new(study)?)),
    },
    Stopper {
        name: "asha",
        summary: "lets the best 1 / eta of those on each rung go on, without waiting for others",
        settings: &[
            WHOLE,
            LOWEST,
            ETA,
            (
                "form",
                "stop",
                "what becomes of the others: stop, or promote: they wait until they are among the best",
            ),
        ],
        source: "Li et al. 2020, arXiv:1810.05934",
        make: |study| Ok(Box::new(Asha::new(study)?)),
    },
    Stopper {
        name: "hyperband",
        summary: "lets the best 1 / eta of each bracket go on once all have come, from several starting rungs",
        settings: &[WHOLE, LOWEST, ETA],
        source: "Li et al. 2018, JMLR 18:185",
        make: |study| Ok(Box::new(Hyperband::new(study)?)),
    },
    Stopper {
        name: "successive-halving",
        summary: "the same, every bracket from the lowest rung",
        settings: &[WHOLE, LOWEST, ETA],
        source: "Jamieson and Talwalkar 2016, AISTATS",
        make: |study| Ok(Box::new(Hyperband::successive_halving(study)?)),
    },
];
