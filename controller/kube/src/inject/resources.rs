//! What a sidecar asks its node for.

use std::str::FromStr;

use controller_core::{quantity, yaml};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Why a wish for resources cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResourcesError {
    /// It is no map of maps.
    #[error("it is no map such as {{limits: {{memory: 1Gi}}}}")]
    Shape,
    /// A word of it means nothing.
    #[error("`{0}` is neither `requests` nor `limits`")]
    Word(String),
    /// An amount makes no sense.
    #[error("`{amount}` of {name} is no amount such as 500m or 1Gi")]
    Amount {
        /// Of what.
        name: String,
        /// As written.
        amount: String,
    },
}

/// What is asked for otherwise than usual: amounts by `requests` or `limits` and name, none where it is not asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources(Vec<(String, String, Option<Value>)>);

impl Resources {
    /// Changes what is usual.
    pub fn put_into(&self, resources: &mut Value) {
        for (word, name, amount) in &self.0 {
            let Some(amounts) = super::edit::map(resources, word) else { continue };
            match amount {
                Some(amount) => drop(amounts.insert(name.clone(), amount.clone())),
                None => drop(amounts.shift_remove(name)),
            }
        }
    }
}

impl FromStr for Resources {
    type Err = ResourcesError;

    fn from_str(text: &str) -> Result<Self, ResourcesError> {
        let mut documents = yaml::parse(text).map_err(|_| ResourcesError::Shape)?;
        let document = documents.pop().filter(|_| documents.is_empty()).ok_or(ResourcesError::Shape)?;
        let mut all = Vec::new();
        for (word, amounts) in map(&document.value)? {
            if !matches!(word.as_str(), "requests" | "limits") {
                return Err(ResourcesError::Word(word.clone()));
            }
            for (name, amount) in map(amounts)? {
                all.push((word.clone(), name.clone(), read(name, amount)?));
            }
        }
        Ok(Self(all))
    }
}

fn map(value: &Value) -> Result<&Map<String, Value>, ResourcesError> {
    value.as_object().ok_or(ResourcesError::Shape)
}

/// An amount; none for null, and for one below zero, by which Katib's configuration takes it away.
fn read(name: &str, amount: &Value) -> Result<Option<Value>, ResourcesError> {
    let text = match amount {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Some(number) = quantity::parse(text.trim_start_matches('-')) else {
        return Err(ResourcesError::Amount { name: name.to_owned(), amount: text });
    };
    let is_none = text.starts_with('-') && number > 0.0;
    Ok((!is_none).then(|| json!(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let mut usual = json!({"requests": {"cpu": "50m", "memory": "10Mi"}, "limits": {"cpu": "500m"}});
        let wish: Resources = "{requests: {cpu: -1}, limits: {cpu: null, memory: 1Gi}}".parse().unwrap();
        wish.put_into(&mut usual);
        assert_eq!(usual, json!({"requests": {"memory": "10Mi"}, "limits": {"memory": "1Gi"}}));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let refused = |text: &str| text.parse::<Resources>().unwrap_err().to_string();
        assert_eq!(refused("1Gi"), "it is no map such as {limits: {memory: 1Gi}}");
        assert_eq!(refused("{limit: {cpu: 1}}"), "`limit` is neither `requests` nor `limits`");
        assert_eq!(refused("{limits: {cpu: much}}"), "`much` of cpu is no amount such as 500m or 1Gi");
    }
}
