//! Numbers in JSON, which has neither NaN nor infinities: those are written as texts, and read back as what they were.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl Written {
    fn of(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Text(value.to_string()) }
    }

    fn read(self) -> f64 {
        match self {
            Self::Number(value) => value,
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
        }
    }
}

/// For lists: `#[serde(with = "floats::list")]`.
pub(crate) mod list {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Written;

    pub(crate) fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().copied().map(Written::of))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        // A null is what was written for a NaN by those who knew no better.
        let written = Vec::<Option<Written>>::deserialize(deserializer)?;
        Ok(written.into_iter().map(|value| value.map_or(f64::NAN, Written::read)).collect())
    }
}

/// For lists by step: `#[serde(with = "floats::curve")]`.
pub(crate) mod curve {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use study::Curve;

    #[derive(Serialize, Deserialize)]
    struct Point(u64, #[serde(with = "super::list")] Vec<f64>);

    pub(crate) fn serialize<S: Serializer>(curve: &Curve, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(curve.iter().map(|(step, costs)| Point(*step, costs.clone())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Curve, D::Error> {
        let points = Vec::<Point>::deserialize(deserializer)?;
        Ok(points.into_iter().map(|Point(step, costs)| (step, costs)).collect())
    }
}

/// For what may be missing: `#[serde(with = "floats::option")]`.
pub(crate) mod option {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Written;

    #[expect(clippy::ref_option, reason = "serde hands over references to fields")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Written::of).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Written>::deserialize(deserializer)?.map(Written::read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Record {
        #[serde(with = "list")]
        all: Vec<f64>,
        #[serde(with = "option")]
        one: Option<f64>,
        #[serde(default, with = "curve")]
        curve: study::Curve,
    }

    #[test]
    fn what_json_cannot_say_reads_back_the_same() {
        let all = vec![0.1, f64::INFINITY, -3.0, f64::NEG_INFINITY, f64::NAN];
        for one in [None, Some(0.25), Some(f64::INFINITY)] {
            let curve = vec![(3, vec![0.5]), (4, vec![f64::INFINITY])];
            let text =
                serde_json::to_string(&Record { all: all.clone(), one, curve: curve.clone() }).unwrap();
            let read: Record = serde_json::from_str(&text).unwrap();
            assert_eq!(read.curve, curve, "{text}");
            assert_eq!((&read.all[..4], read.one), (&all[..4], one), "{text}");
            assert!(read.all[4].is_nan(), "{text}");
        }
    }

    #[test]
    fn records_of_those_who_knew_no_better_can_be_read() {
        let read: Record = serde_json::from_str(r#"{"all":[1,null],"one":null}"#).unwrap();
        assert!(read.all[1].is_nan() && read.one.is_none());
    }
}
