//! What the paths find is what GJSON itself finds, and what is no path is refused.

use serde_json::Value;

use super::*;

/// An object, and what github.com/tidwall/gjson v1.18.0 finds in it: a path, a tab, and JSON or `-` a line. Made by
/// `gjson.GetBytes(object, path)`, of which `Raw` was printed where it `Exists`.
const OBJECT: &str = include_str!("object.json");
const FOUND: &str = include_str!("found.tsv");

#[test]
fn paths_find_what_gjson_finds() {
    let object: Value = serde_json::from_str(OBJECT).unwrap();
    let mut cases = 0;
    for line in FOUND.lines() {
        let (text, wanted) = line.split_once('\t').unwrap();
        let wanted: Option<Value> = (wanted != "-").then(|| serde_json::from_str(wanted).unwrap());
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.find(&object).map(Cow::into_owned), wanted, "{text}");
        cases += 1;
    }
    assert!(cases > 60, "{cases}");
}

#[test]
fn what_is_left_out_is_refused_by_name() {
    for (text, named) in [
        ("status.@reverse.0", "@reverse"),
        ("{a,b}", "{a,b}"),
        ("status.#(a==~true)", "~true"),
        ("status.#(a==1", "#(a==1"),
        ("status.#(a==1)x", "x"),
        ("[a,b", "[a,b"),
        ("status.!true", "!true"),
    ] {
        let error = Path::parse(text).unwrap_err().to_string();
        assert!(error.contains(named.trim_start_matches('#')), "{text}: {error}");
    }
    let deep = "#(".repeat(50) + &")".repeat(50);
    assert_eq!(Path::parse(&deep), Err(PathError::TooDeep));
}

#[test]
fn patterns_match_as_people_expect() {
    for (text, pattern, is) in [
        ("abc", "a*c", true),
        ("abcabc", "*bc", true),
        ("abc", "a?c", true),
        ("abc", "a?", false),
        ("", "*", true),
        ("a*c", r"a\*c", true),
        ("abc", r"a\*c", false),
        ("aaab", "*a*b", true),
        ("aaac", "*a*b", false),
    ] {
        assert_eq!(is_like(text, pattern), is, "{text} {pattern}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"[a.|#()\[\]"=<>!%*?@{},\\~ 1é]{0,40}"#) {
        let object: Value = serde_json::from_str(OBJECT).unwrap();
        if let Ok(path) = Path::parse(&text) {
            path.find(&object);
        }
    }
}
