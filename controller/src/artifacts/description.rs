//! What a model says of itself: `model.yaml`, and what its files tell.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use controller_core::ports::{Description, ModelError};
use controller_core::yaml;
use serde_json::Value;

/// Ends of names of files that are, or hold, pickles: whoever loads one runs the code in it.
const PICKLES: [&str; 6] = ["pkl", "pickle", "joblib", "pt", "pth", "cloudpickle"];

/// Reads what lies in the folder of a model.
pub(super) fn read(dir: &Path) -> Result<Description, ModelError> {
    let mut description = Description { notes: pickles(dir), ..Description::default() };
    let path = dir.join("model.yaml");
    let wrong = |why: String| ModelError::Changed(format!("{}: {why}", path.display()));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(description),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let documents = yaml::parse(&text).map_err(|error| wrong(error.to_string()))?;
    let said = documents.into_iter().next().map(|source| source.value).unwrap_or_default();
    let file = |word: &str| -> Result<Option<Value>, ModelError> {
        let Some(name) = said.get(word).and_then(Value::as_str) else { return Ok(None) };
        let wrong = |why: String| wrong(format!("`{word}` names {name}: {why}"));
        // What lies elsewhere is not what was sealed.
        let is_inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(name).components().all(is_inside) {
            return Err(wrong("it is not in the folder of the model".into()));
        }
        let text = fs::read(dir.join(name)).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| wrong(format!("it is no JSON: {error}")))
    };
    description.sample = file("sample")?;
    description.expected = file("expected")?;
    description.profile = file("profile")?;
    Ok(description)
}

fn pickles(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    names
        .filter(|path| {
            path.extension().and_then(|end| end.to_str()).is_some_and(|end| PICKLES.contains(&end))
        })
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .map(|name| {
            format!("{name} is a pickle, and loading one runs the code in it; serve only what you trust")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sample_and_expected_answer_are_files_beside_it_and_pickles_are_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Ok(Description::default()));
        fs::write(dir.path().join("model.yaml"), "format: sklearn\nsample: in.json\nexpected: out.json\n")
            .unwrap();
        fs::write(dir.path().join("in.json"), r#"{"inputs": []}"#).unwrap();
        let missing = read(dir.path()).unwrap_err().to_string();
        assert!(missing.contains("`expected` names out.json"), "{missing}");
        fs::write(dir.path().join("out.json"), r#"{"outputs": [1]}"#).unwrap();
        fs::write(dir.path().join("model.joblib"), "").unwrap();
        let read = read(dir.path()).unwrap();
        assert_eq!(read.sample, Some(json!({"inputs": []})));
        assert_eq!(read.expected, Some(json!({"outputs": [1]})));
        assert!(read.notes[0].contains("model.joblib is a pickle"), "{read:?}");
    }
}
