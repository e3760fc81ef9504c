//! From documented fields to the schema of a resource.

use std::collections::BTreeMap;

use controller_core::fields::Shape;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Lists whose items are told apart by name, so that appliers merge them.
const KEYED: [&str; 3] = ["parameters", "trialParameters", "algorithmSettings"];
/// Lists that are written as a whole: their order says what is current.
const ATOMIC: [&str; 1] = ["conditions"];
/// Texts that come as something else too: the Katib SDK writes the choices of a parameter as a list here.
const LOOSE: [&str; 1] = ["distribution"];

/// What a field of a resource holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// What fields of documents hold.
    Plain(Shape),
    /// A point in time, null before there is one.
    Time,
}

/// A field of a resource.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Path such as `status.conditions[].type`.
    pub(super) path: String,
    /// What it holds.
    pub(super) holds: Holds,
    /// One paragraph.
    pub(super) doc: &'static str,
}

/// The schema of a resource with these fields. No enumerations, no ranges, nothing required; and nothing that the schema
/// does not know is dropped: an older schema must not cut what a newer controller writes, and mistakes of people reach
/// the validator.
pub(super) fn schema(fields: &[Field], doc: &str) -> JSONSchemaProps {
    let mut root = object(fields, "");
    root.description = Some(doc.to_owned());
    // The API server lets nothing be said of it.
    let metadata = JSONSchemaProps { type_: Some("object".into()), ..JSONSchemaProps::default() };
    root.properties.get_or_insert_default().insert("metadata".into(), metadata);
    root
}

fn property(fields: &[Field], field: &Field) -> JSONSchemaProps {
    let mut schema = match field.holds {
        Holds::Time => {
            JSONSchemaProps { format: Some("date-time".into()), nullable: Some(true), ..typed("string") }
        }
        Holds::Plain(shape) => plain(fields, field, shape),
    };
    schema.description = Some(field.doc.to_owned());
    schema
}

fn plain(fields: &[Field], field: &Field, shape: Shape) -> JSONSchemaProps {
    match shape {
        Shape::Text if LOOSE.contains(&name(&field.path)) => anything(),
        Shape::Text => typed("string"),
        Shape::Int => typed("integer"),
        Shape::Number => typed("number"),
        Shape::Bool => typed("boolean"),
        Shape::Map => object(fields, &field.path),
        Shape::TextMap => map_of(typed("string")),
        Shape::NumberMap => map_of(typed("number")),
        Shape::Texts => list_of(typed("string")),
        Shape::Ints => list_of(typed("integer")),
        Shape::TextMaps => list_of(map_of(typed("string"))),
        Shape::List => list(fields, field),
        Shape::Any => anything(),
    }
}

fn list(fields: &[Field], field: &Field) -> JSONSchemaProps {
    let mut items = object(fields, &format!("{}[]", field.path));
    let name = name(&field.path);
    let kind = if KEYED.contains(&name) {
        // A key must be required or have a default; the validator says better that it is missing.
        if let Some(key) = items.properties.as_mut().and_then(|properties| properties.get_mut("name")) {
            key.default = Some(JSON("".into()));
        }
        Some("map")
    } else {
        ATOMIC.contains(&name).then_some("atomic")
    };
    JSONSchemaProps {
        x_kubernetes_list_type: kind.map(str::to_owned),
        x_kubernetes_list_map_keys: (kind == Some("map")).then(|| vec!["name".into()]),
        ..list_of(items)
    }
}

fn object(fields: &[Field], path: &str) -> JSONSchemaProps {
    let properties: BTreeMap<String, JSONSchemaProps> =
        below(fields, path).map(|field| (name(&field.path).to_owned(), property(fields, field))).collect();
    JSONSchemaProps {
        properties: (!properties.is_empty()).then_some(properties),
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..typed("object")
    }
}

/// The fields right below a path.
fn below<'a>(fields: &'a [Field], path: &str) -> impl Iterator<Item = &'a Field> {
    let start = if path.is_empty() { String::new() } else { format!("{path}.") };
    fields.iter().filter(move |field| {
        field.path.strip_prefix(&start).is_some_and(|rest| !rest.is_empty() && !rest.contains('.'))
    })
}

fn name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn typed(kind: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(kind.into()), ..JSONSchemaProps::default() }
}

fn anything() -> JSONSchemaProps {
    JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..JSONSchemaProps::default() }
}

fn map_of(values: JSONSchemaProps) -> JSONSchemaProps {
    let values = Some(JSONSchemaPropsOrBool::Schema(Box::new(values)));
    JSONSchemaProps { additional_properties: values, ..typed("object") }
}

fn list_of(items: JSONSchemaProps) -> JSONSchemaProps {
    let items = Some(JSONSchemaPropsOrArray::Schema(Box::new(items)));
    JSONSchemaProps { items, ..typed("array") }
}
