//! Where a user believes that the best value of a parameter lies.

use serde::{Deserialize, Serialize};

use super::Domain;

/// A belief where the best value of a parameter lies, as of piBO (Hvarfner et al. 2022, arXiv:2204.11051). It leads a
/// search and forbids nothing: no value of the domain has probability 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Prior {
    /// Of numbers between bounds: a normal distribution, cut off at the bounds.
    Normal {
        /// Its centre, within the bounds.
        mean: f64,
        /// Its width, above 0: in the parameter's own unit, in powers of ten where the distribution is in the logarithm
        /// (0.5: a factor of about 3 up and down).
        std: f64,
    },
    /// Of listed values.
    Weighted {
        /// How likely each value is against the others, in the order of the list; above 0.
        weights: Vec<f64>,
    },
}

impl Prior {
    /// A belief in listed values from weights by text; a value without one has weight 1.
    ///
    /// # Errors
    /// If a text is none of the list.
    pub fn weighted<'a>(
        domain: &Domain,
        by_text: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Self, String> {
        let n = match domain {
            Domain::Discrete { values, .. } => values.len(),
            Domain::Categorical { choices, .. } => choices.len(),
            Domain::Float { .. } | Domain::Int { .. } => {
                return Err("weights are for lists; a number has mean and std".into());
            }
        };
        let mut weights = vec![1.0; n];
        for (text, weight) in by_text {
            match domain.parse(text) {
                Some(crate::Value::Choice(i)) => weights[i] = weight,
                _ => return Err(format!("it weighs `{text}`, which is not in the list")),
            }
        }
        Ok(Self::Weighted { weights })
    }

    /// Whether it is a belief in values of this domain.
    ///
    /// # Errors
    /// What is wrong, with the way out.
    pub fn check(&self, domain: &Domain) -> Result<(), String> {
        match (self, domain) {
            (Self::Normal { mean, std }, Domain::Float { min, max, .. }) => normal(*mean, *std, *min, *max),
            (Self::Normal { mean, std }, Domain::Int { min, max, .. }) => {
                normal(*mean, *std, *min as f64, *max as f64)
            }
            (Self::Normal { .. }, _) => Err("mean and std are for numbers; a list has weights".into()),
            (Self::Weighted { .. }, Domain::Float { .. } | Domain::Int { .. }) => {
                Err("weights are for lists; a number has mean and std".into())
            }
            (Self::Weighted { weights }, _) => {
                if domain.cardinality() != Some(weights.len() as u64) {
                    return Err(format!("it has {} weights for another number of values", weights.len()));
                }
                match weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
                    Some(weight) => Err(format!(
                        "a weight of {weight} must be above 0; take a value that is never wanted out of the list"
                    )),
                    None => Ok(()),
                }
            }
        }
    }
}

fn normal(mean: f64, std: f64, min: f64, max: f64) -> Result<(), String> {
    if !(std.is_finite() && std > 0.0) {
        Err(format!("std {std} must be above 0; the smaller, the surer"))
    } else if !(min <= mean && mean <= max) {
        Err(format!("mean {mean} is not between min {min} and max {max}; move it, or widen the space"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Distribution;

    #[test]
    fn a_belief_in_what_cannot_be_is_refused_with_a_way_out() {
        let number = Domain::Float { min: 0.0, max: 1.0, step: None, distribution: Distribution::Uniform };
        let names = Domain::Categorical { choices: vec!["a".into(), "b".into()], ordered: false };
        let weighted = |weights: &[f64]| Prior::Weighted { weights: weights.to_vec() };
        for (prior, domain, wanted) in [
            (Prior::Normal { mean: 2.0, std: 1.0 }, &number, "mean 2 is not between min 0 and max 1"),
            (Prior::Normal { mean: f64::NAN, std: 1.0 }, &number, "mean NaN"),
            (Prior::Normal { mean: 0.5, std: 0.0 }, &number, "std 0 must be above 0"),
            (Prior::Normal { mean: 0.5, std: f64::INFINITY }, &number, "std inf must be above 0"),
            (Prior::Normal { mean: 0.5, std: 1.0 }, &names, "a list has weights"),
            (weighted(&[1.0, 1.0]), &number, "a number has mean and std"),
            (weighted(&[1.0]), &names, "1 weights"),
            (weighted(&[1.0, 0.0]), &names, "a weight of 0 must be above 0"),
        ] {
            let problem = prior.check(domain).unwrap_err();
            assert!(problem.contains(wanted), "{problem}");
        }
        assert_eq!(Prior::Normal { mean: 1.0, std: 0.1 }.check(&number), Ok(()));
    }

    #[test]
    fn values_without_a_weight_weigh_one() {
        let numbers = Domain::Discrete {
            texts: vec!["0.1".into(), "1".into(), "2".into()],
            values: vec![0.1, 1.0, 2.0],
        };
        let prior = Prior::weighted(&numbers, [("0.10", 3.0), ("2", 0.5)]).unwrap();
        assert_eq!(prior, Prior::Weighted { weights: vec![3.0, 1.0, 0.5] });
        assert_eq!(prior.check(&numbers), Ok(()));
        assert!(Prior::weighted(&numbers, [("5", 1.0)]).unwrap_err().contains("`5`"));
    }
}
