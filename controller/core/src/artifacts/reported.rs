//! Models that programs store themselves: lines of `artifacts.jsonl`.

use serde::Deserialize;

use crate::run::Model;

/// What a program has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Its model; the last one counts.
    pub model: Option<Model>,
    /// What a person should know.
    pub note: Option<String>,
}

/// What the lines say.
pub fn reported(text: &str) -> Reported {
    #[derive(Deserialize)]
    struct Line {
        model: Option<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        uri: String,
        #[serde(default)]
        sha256: Option<String>,
        #[serde(default)]
        bytes: u64,
        #[serde(default)]
        format: String,
    }
    let mut reported = Reported::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(Line { model: Some(Said { uri, sha256, bytes, format }) }) => {
                let digest = sha256.unwrap_or_default();
                reported.model = Some(Model { uri, digest, bytes, format, elsewhere: true, removed: None });
            }
            Ok(Line { model: None }) => {}
            Err(error) => {
                reported.note =
                    Some(format!("line {} of artifacts.jsonl is passed over: {error}", number + 1));
            }
        }
    }
    reported
}
