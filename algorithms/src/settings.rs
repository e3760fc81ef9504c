//! Settings of algorithms: text at the door, checked once into a type, then trusted.

use std::collections::BTreeMap;
use std::str::FromStr;

use study::Algorithm;
use thiserror::Error;

/// Why an algorithm cannot be built from its settings or for this space.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// There is no such algorithm.
    #[error("unknown algorithm `{name}`{hint}")]
    UnknownAlgorithm {
        /// As written.
        name: String,
        /// ` (did you mean ...?)` or empty.
        hint: String,
    },
    /// There is no such setting.
    #[error("unknown setting `{name}` for algorithm `{algorithm}`; it knows {known}")]
    Unknown {
        /// Algorithm.
        algorithm: String,
        /// Setting.
        name: String,
        /// What it knows.
        known: String,
    },
    /// The value is none that is allowed.
    #[error("setting `{name}` of algorithm `{algorithm}` is `{value}`; it takes {allowed}")]
    Value {
        /// Algorithm.
        algorithm: String,
        /// Setting.
        name: String,
        /// As written.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The space or budget does not suit the algorithm.
    #[error("algorithm `{algorithm}`: {problem}")]
    Unsuited {
        /// Algorithm.
        algorithm: String,
        /// What does not suit, and the way out.
        problem: String,
    },
}

/// Reads the settings of one algorithm, and refuses what is left over.
pub struct Reader<'a> {
    algorithm: &'a Algorithm,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// A reader of these settings.
    pub fn new(algorithm: &'a Algorithm) -> Self {
        Self { algorithm, known: Vec::new() }
    }

    /// The setting of a name, `default` if unset.
    ///
    /// # Errors
    /// If the text is no `T` or does not pass `check`; the error says what is `allowed`.
    pub fn get<T: FromStr>(
        &mut self,
        name: &'static str,
        default: T,
        allowed: &'static str,
        check: impl Fn(&T) -> bool,
    ) -> Result<T, SettingsError> {
        Ok(self.optional(name, allowed, check)?.unwrap_or(default))
    }

    /// The setting of a name, if set.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn optional<T: FromStr>(
        &mut self,
        name: &'static str,
        allowed: &'static str,
        check: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, SettingsError> {
        self.known.push(name);
        let Some(text) = self.algorithm.settings.get(name) else {
            return Ok(None);
        };
        text.trim().parse().ok().filter(|value| check(value)).map(Some).ok_or_else(|| SettingsError::Value {
            algorithm: self.algorithm.name.clone(),
            name: name.to_owned(),
            value: text.clone(),
            allowed,
        })
    }

    /// Refuses settings that nobody read. `random_state` is every sampler's: it is the seed.
    ///
    /// # Errors
    /// For the first unknown setting.
    pub fn finish(mut self) -> Result<(), SettingsError> {
        self.optional("random_state", "a whole number of at least 0", |_: &u64| true)?;
        self.finish_seedless()
    }

    /// The same for what has no chance in it.
    ///
    /// # Errors
    /// For the first unknown setting.
    pub fn finish_seedless(self) -> Result<(), SettingsError> {
        match self.algorithm.settings.keys().find(|name| !self.known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(SettingsError::Unknown {
                algorithm: self.algorithm.name.clone(),
                name: name.clone(),
                known: self.known.join(", "),
            }),
        }
    }
}

/// An algorithm with these settings; for tests and defaults.
pub fn algorithm(name: &str, settings: &[(&str, &str)]) -> Algorithm {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Algorithm { name: name.to_owned(), settings: settings.collect::<BTreeMap<_, _>>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let written = algorithm("tpe", &[("gamma", "0.2"), ("gama", "0.2")]);
        let mut reader = Reader::new(&written);
        let gamma = reader.get("gamma", 0.25, "a number between 0 and 1", |x| (0.0..1.0).contains(x));
        assert_eq!(gamma, Ok(0.2));
        assert!(reader.finish().unwrap_err().to_string().contains("unknown setting `gama`"));
    }

    #[test]
    fn a_wrong_value_says_what_is_allowed() {
        let written = algorithm("tpe", &[("gamma", "2")]);
        let error = Reader::new(&written).get("gamma", 0.25, "a number below 1", |x| *x < 1.0).unwrap_err();
        assert_eq!(error.to_string(), "setting `gamma` of algorithm `tpe` is `2`; it takes a number below 1");
    }
}
