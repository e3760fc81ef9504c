//! The rows of the registry: all that is known of each algorithm, in one place.

use std::sync::Arc;

use algorithms::Sampler;
use algorithms::auto::Auto;
use algorithms::cmaes::Cmaes;
use algorithms::defaults::DefaultsFirst;
use algorithms::evolution::Evolution;
use algorithms::gp::Gp;
use algorithms::grid::Grid;
use algorithms::halving::Halving;
use algorithms::local_search::LocalSearch;
use algorithms::pbt::Pbt;
use algorithms::random::Random;
use algorithms::settings::SettingsError;
use algorithms::sobol::Sobol;
use algorithms::tpe::Tpe;
use nas::Architectures;
use nas::darts::Darts;
use nas::enas::Enas;
use nas::search::{Bananas, RegularizedEvolution};
use study::Study;

use super::warnings;
use super::{Can, Feature};

/// Name, default and meaning of a setting.
pub type Setting = (&'static str, &'static str, &'static str);

/// Makes a sampler for a study.
type Make = fn(&Study) -> Result<Box<dyn Sampler>, SettingsError>;

/// What is said of a sampler, what it cannot do wholly, and how it is made.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Other names that it answers to.
    pub(super) aliases: &'static [&'static str],
    pub(super) summary: &'static str,
    pub(super) settings: &'static [Setting],
    /// Features that it lacks, or has within a limit; all others it has.
    pub(super) limits: &'static [(Feature, Can)],
    pub(super) source: &'static str,
    /// Whether settings that it does not know are passed over with a warning, as Katib's service of that name does.
    pub(super) lenient: bool,
    /// Whether it takes long to be told.
    pub(super) slow: bool,
    /// Whether its trials begin from checkpoints of others.
    pub(super) copies: bool,
    /// What people should hear of a study beside its limits.
    pub(super) warn: fn(&Study) -> Vec<String>,
    pub(super) make: Make,
}

impl Row {
    /// The row of the sampler of a name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SAMPLERS.iter().find(|row| row.name == name || row.aliases.contains(&name))
    }

    /// Names of settings that it does not know and passes over.
    pub(super) fn ignored<'a>(&'static self, study: &'a Study) -> impl Iterator<Item = &'a String> {
        let known = |name: &&String| self.settings.iter().any(|(known, ..)| known == name);
        study.algorithm.settings.keys().filter(move |name| self.lenient && !known(name))
    }

    /// The study without what it passes over.
    pub(super) fn heard(&'static self, study: &Study) -> Study {
        let mut heard = study.clone();
        for name in self.ignored(study) {
            heard.algorithm.settings.remove(name);
        }
        heard
    }

    /// The sampler of a study, with the defaults first.
    pub(super) fn sampler(&'static self, study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        let heard = self.heard(study);
        Ok(DefaultsFirst::wrap(&heard, (self.make)(&heard)?))
    }

    /// Whether it can do something.
    pub(super) fn can(&self, feature: Feature) -> Can {
        self.limits.iter().find(|(limited, _)| *limited == feature).map_or(Can::Yes, |(_, can)| *can)
    }
}

const SEED: Setting = ("random_state", "spec.seed", "seed of all chance");
const TPE: &[Setting] = &[
    ("gamma", "0.15", "share of the trials that count as good, between 0 and 1"),
    ("prior_weight", "1", "weight of the prior against that of one trial, above 0"),
    ("n_EI_candidates", "24", "points drawn for each one proposed"),
    ("n_ei_candidates", "n_EI_candidates", "the same under its other name"),
    ("n_startup_trials", "10", "measured trials before which points come from a Sobol design"),
    SEED,
];

const HALVING: &[Setting] = &[
    ("r_l", "", "the whole resource of a trial; needed"),
    ("resource_name", "", "the parameter that the resource is written into; needed"),
    ("eta", "3", "of how many trials one goes on, with so many times the resource"),
    SEED,
];

/// What searches architectures alone, which are names.
const NO_PARAMETERS: &[(Feature, Can)] = &[
    (Feature::Float, Can::No),
    (Feature::Int, Can::No),
    (Feature::Discrete, Can::No),
    (Feature::Conditional, Can::No),
    (Feature::Constraints, Can::No),
    (Feature::Priors, Can::No),
];

/// What searches architectures, which may be choices of any kind.
const OF_ARCHITECTURES: &[(Feature, Can)] =
    &[(Feature::Float, Can::No), (Feature::Constraints, Can::No), (Feature::Priors, Can::No)];

const ENAS: &[Setting] = &[
    ("controller_hidden_size", "64", "size of the LSTM's state, at most 1024"),
    ("controller_temperature", "5", "what logits are divided by, or None"),
    ("controller_tanh_const", "2.25", "bound of the logits, or None"),
    ("controller_entropy_weight", "0.00001", "weight of the entropy of decisions, or None"),
    ("controller_baseline_decay", "0.999", "how much of the moving baseline an update keeps, above 0 to 1"),
    ("controller_learning_rate", "0.00005", "step of Adam, above 0 to 1"),
    ("controller_skip_target", "0.4", "wished share of skip connections, above 0 to 1"),
    ("controller_skip_weight", "0.8", "weight of the divergence from that share, or None"),
    ("controller_train_steps", "50", "updates after each trial, at most 10000"),
    ("controller_log_every_steps", "10", "accepted and not used"),
    SEED,
];

const DARTS: &[Setting] = &[
    ("num_epochs", "50", "epochs of the search"),
    ("w_lr", "0.025", "learning rate of the weights, at first"),
    ("w_lr_min", "0.001", "the same at the end"),
    ("w_momentum", "0.9", "momentum of the weights"),
    ("w_weight_decay", "0.0003", "weight decay of the weights"),
    ("w_grad_clip", "5", "bound of the weights' gradient"),
    ("alpha_lr", "0.0003", "learning rate of the architecture"),
    ("alpha_weight_decay", "0.001", "weight decay of the architecture"),
    ("batch_size", "128", "examples of a batch, or None"),
    ("num_workers", "4", "workers that load data"),
    ("init_channels", "16", "channels of the first cell"),
    ("print_step", "50", "batches between two lines of the log"),
    ("num_nodes", "4", "nodes of a cell"),
    ("stem_multiplier", "3", "channels of the stem, as a multiple"),
];

/// The architectures that a study's points are.
fn architectures(study: &Study) -> Result<Arc<dyn Architectures>, SettingsError> {
    nas::architectures_of(&study.space).map_err(|problem| SettingsError::Unsuited {
        algorithm: study.algorithm.name.clone(),
        problem: problem.to_string(),
    })
}

pub(super) const SAMPLERS: &[Row] = &[
    Row {
        name: "auto",
        // What is meant by a study that names none.
        aliases: &[""],
        summary: "picks one of the others by space, budget and history",
        settings: &[SEED],
        limits: &[],
        source: "rule of Cairn",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Auto::new(study)?)),
    },
    Row {
        name: "random",
        aliases: &[],
        summary: "draws every point from the prior",
        settings: &[SEED],
        limits: &[],
        source: "Bergstra and Bengio 2012, JMLR 13:281",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Random::new(study)?)),
    },
    Row {
        name: "grid",
        aliases: &[],
        summary: "tries every combination once",
        settings: &[SEED],
        limits: &[(Feature::Float, Can::Within("10 points each")), (Feature::Priors, Can::No)],
        source: "Fisher 1935, The Design of Experiments",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::grid,
        make: |study| Ok(Box::new(Grid::new(study)?)),
    },
    Row {
        name: "sobol",
        aliases: &[],
        summary: "fills the space evenly",
        settings: &[SEED],
        limits: &[],
        source: "Sobol 1967; Joe and Kuo 2008; Burley 2020, JCGT 9(4):1",
        lenient: true,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Sobol::new(study)?)),
    },
    Row {
        name: "tpe",
        aliases: &[],
        summary: "draws where good trials are dense and others are not",
        settings: TPE,
        limits: &[],
        source: "Bergstra et al. 2011, NeurIPS; Watanabe 2023, arXiv:2304.11127",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Tpe::new(study)?)),
    },
    Row {
        name: "multivariate-tpe",
        aliases: &[],
        summary: "the same as tpe, whose densities are joint over all parameters",
        settings: TPE,
        limits: &[],
        source: "Falkner et al. 2018, arXiv:1807.01774",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Tpe::new(study)?)),
    },
    Row {
        name: "bayesianoptimization",
        aliases: &["gp"],
        summary: "models the cost by a Gaussian process and tries what promises most",
        settings: &[
            ("n_initial_points", "10", "trials of a Sobol design before the first fit"),
            ("acq_func", "EI", "what is maximised: EI (its logarithm), PI or LCB"),
            ("base_estimator", "GP", "the model; only GP is offered"),
            ("acq_optimizer", "auto", "accepted and not used"),
            (
                "stop_regret",
                "0",
                "the search ends once less than so many deviations of the noise is left to gain; 0: never",
            ),
            SEED,
        ],
        limits: &[],
        source: "Jones et al. 1998, J. Glob. Optim. 13:455; Ament et al. 2023, arXiv:2310.20708",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::gp,
        make: |study| Ok(Box::new(Gp::new(study)?)),
    },
    Row {
        name: "cmaes",
        aliases: &[],
        summary: "moves and shapes a normal distribution, and probabilities of names, towards better points",
        settings: &[
            ("sigma", "0.3", "first deviation, as a share of each parameter's range"),
            ("restart_strategy", "ipop", "how to start anew after convergence: ipop, bipop or none"),
            SEED,
        ],
        limits: &[(Feature::Priors, Can::No)],
        source: "Hansen 2016, arXiv:1604.00772; Hansen 2009, GECCO; Ros and Hansen 2008, PPSN; Hamano et al. 2024, arXiv:2405.09962",
        lenient: true,
        slow: false,
        copies: false,
        warn: warnings::cmaes,
        make: |study| Ok(Box::new(Cmaes::new(study)?)),
    },
    Row {
        name: "evolution",
        aliases: &[],
        summary: "changes the best of a few; the oldest leaves, not the worst",
        settings: &[
            ("population", "15", "trials that may have children: the last so many"),
            ("tournament", "10", "of how many drawn from them the best is the parent"),
            ("crossover", "0.5", "share of the children with a second parent, from 0 to 1"),
            SEED,
        ],
        limits: &[(Feature::Priors, Can::Within("its first points only"))],
        source: "Real et al. 2019, arXiv:1802.01548",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Evolution::new(study)?)),
    },
    Row {
        name: "local-search",
        aliases: &[],
        summary: "tries neighbours of the best point, nearer ones after failures, and begins anew when spent",
        settings: &[
            ("n_startup_trials", "10", "measured trials of a Sobol design before the first search"),
            ("least_step", "0.001", "step below which a search is spent, as a share of each range"),
            SEED,
        ],
        limits: &[(Feature::Priors, Can::Within("its first points only"))],
        source: "Rechenberg 1973, Evolutionsstrategie; Kern et al. 2004, Nat. Comput. 3:77",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(LocalSearch::new(study)?)),
    },
    Row {
        name: "hyperband",
        aliases: &[],
        summary: "gives more of a resource to what did well with less, from several starting levels",
        settings: HALVING,
        limits: &[],
        source: "Li et al. 2018, JMLR 18:185; promotion as in asha",
        lenient: true,
        slow: false,
        copies: false,
        warn: warnings::hyperband,
        make: |study| Ok(Box::new(Halving::hyperband(study)?)),
    },
    Row {
        name: "asha",
        aliases: &[],
        summary: "gives more of a resource to what did well with less, without waiting",
        settings: HALVING,
        limits: &[],
        source: "Li et al. 2018, arXiv:1810.05934",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::asha,
        make: |study| Ok(Box::new(Halving::asha(study)?)),
    },
    Row {
        name: "enas",
        aliases: &[],
        summary: "writes architectures of nasConfig by an LSTM that learns from each one's own objective",
        settings: ENAS,
        limits: NO_PARAMETERS,
        source: "Pham et al. 2018, arXiv:1802.03268",
        lenient: false,
        slow: true,
        copies: false,
        warn: warnings::none,
        make: |study| Ok(Box::new(Enas::new(study)?)),
    },
    Row {
        name: "darts",
        aliases: &[],
        summary: "gives every trial the whole of nasConfig, which it searches by itself in one training",
        settings: DARTS,
        limits: NO_PARAMETERS,
        source: "Liu et al. 2019, arXiv:1806.09055",
        lenient: true,
        slow: false,
        copies: false,
        warn: warnings::darts,
        make: |study| Ok(Box::new(Darts::new(study)?)),
    },
    Row {
        name: "bananas",
        aliases: &[],
        summary: "models an architecture's cost by the paths through it, and tries what a draw from the model promises",
        settings: &[
            ("n_startup_trials", "10", "measured architectures before the first model, at least 8"),
            SEED,
        ],
        limits: OF_ARCHITECTURES,
        source: "White et al. 2021, arXiv:1910.11858; a Gaussian process in place of its ensemble",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::architectures,
        make: |study| Ok(Box::new(Bananas::new(study, architectures(study)?)?)),
    },
    Row {
        name: "nas-evolution",
        aliases: &[],
        summary: "evolution over architectures: those that count as one are tried once",
        settings: &[
            ("population", "15", "architectures that may have children: the last so many"),
            ("tournament", "10", "of how many drawn from them the best is the parent"),
            ("crossover", "0", "share of the children with a second parent, from 0 to 1"),
            SEED,
        ],
        limits: OF_ARCHITECTURES,
        source: "Real et al. 2019, arXiv:1802.01548",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::architectures,
        make: |study| Ok(Box::new(RegularizedEvolution::new(study, architectures(study)?)?)),
    },
    Row {
        name: "nas-local-search",
        aliases: &[],
        summary: "tries what differs in one place from the best architecture; those that count as one are tried once",
        settings: &[("n_startup_trials", "10", "architectures drawn before the first search"), SEED],
        limits: OF_ARCHITECTURES,
        source: "White et al. 2021, arXiv:2005.02960",
        lenient: false,
        slow: false,
        copies: false,
        warn: warnings::architectures,
        make: |study| Ok(Box::new(nas::search::LocalSearch::new(study, architectures(study)?)?)),
    },
    Row {
        name: "pbt",
        aliases: &[],
        summary: "trains a population in turns; the worst take over checkpoints of the best and change their parameters",
        settings: &[
            ("n_population", "20", "members that train in turns, at least 5"),
            (
                "truncation_threshold",
                "0.2",
                "share of the members that is copied from, and that copies, from 0 to 1",
            ),
            ("resample_probability", "0", "chance of each parameter to be drawn anew instead of perturbed"),
            (
                "suggestion_trial_dir",
                "",
                "path in command, args and env in whose place a trial gets its CAIRN_CHECKPOINT_DIR",
            ),
            SEED,
        ],
        limits: &[(Feature::Priors, Can::Within("its first points only"))],
        source: "Jaderberg et al. 2017, arXiv:1711.09846",
        lenient: false,
        slow: false,
        copies: true,
        warn: warnings::none,
        make: |study| Ok(Box::new(Pbt::new(study)?)),
    },
];
