//! Sets of architectures as search spaces: every architecture is a point of a [`Space`] of names, so that it travels and is
//! stored as any other point, and what it has beyond that is asked of its set.

use std::collections::BTreeSet;
use std::sync::Arc;

use study::{Assignment, Domain, Space};
use thiserror::Error;

use crate::cells::{CellSpace, TooManyNodes};
use crate::chain::Chains;
use crate::moves;

/// A set of architectures.
pub trait Architectures: Send + Sync {
    /// Its points. Every parameter has finitely many values.
    fn space(&self) -> &Space;

    /// A text that is the same for architectures which count as one, and differs for others.
    fn key(&self, architecture: &Assignment) -> String;

    /// What an architecture has that a model may learn from: two are the more alike the more of this they share.
    fn features(&self, architecture: &Assignment) -> BTreeSet<String>;

    /// How many changes lead from one architecture to the other, 0 for two that count as one.
    fn distance(&self, a: &Assignment, b: &Assignment) -> usize;
}

/// Why the points of a space are no architectures.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoArchitectures {
    /// There are infinitely many.
    #[error("it chooses among finitely many architectures, and a parameter has a continuum of values")]
    Continuum,
    /// They would be cells that are too large.
    #[error(transparent)]
    Cells(#[from] TooManyNodes),
}

/// The architectures that the points of a space are: chains, cells where its parameters are called as theirs, else choices.
///
/// # Errors
/// If one of its parameters has a continuum of values, or is called as one of a cell that is too large.
pub fn architectures_of(space: &Space) -> Result<Arc<dyn Architectures>, NoArchitectures> {
    if let Some(chains) = Chains::new(space) {
        return Ok(Arc::new(chains));
    }
    if let Some(cells) = CellSpace::of(space)? {
        return Ok(Arc::new(cells));
    }
    Ok(Arc::new(Choices::new(space.clone()).ok_or(NoArchitectures::Continuum)?))
}

/// Hierarchical choices of names, free in form: some exist only under some values of others, as the conditions of a space
/// have it. An architecture is what has been chosen.
#[derive(Clone, Debug)]
pub struct Choices {
    space: Space,
}

impl Choices {
    /// The choices of a space; `None` if one of its parameters has a continuum of values.
    pub fn new(space: Space) -> Option<Self> {
        let finite = space.parameters().iter().all(|parameter| parameter.domain.cardinality().is_some());
        finite.then_some(Self { space })
    }

    /// What has been chosen as a tree of JSON: `{"name": {"value": .., "then": {..}}}`, each choice below the first
    /// that it depends on.
    pub fn to_json(&self, architecture: &Assignment) -> serde_json::Value {
        self.below(None, architecture)
    }

    fn below(&self, parent: Option<&str>, architecture: &Assignment) -> serde_json::Value {
        let mut chosen = serde_json::Map::new();
        for (i, parameter) in self.space.parameters().iter().enumerate() {
            let above = parameter.when.first().map(|condition| condition.parent.as_str());
            let Some(value) = architecture.get(i).filter(|_| above == parent) else { continue };
            let then = self.below(Some(&parameter.name), architecture);
            let mut node = serde_json::json!({"value": parameter.domain.text(value)});
            if then.as_object().is_some_and(|then| !then.is_empty()) {
                node["then"] = then;
            }
            chosen.insert(parameter.name.clone(), node);
        }
        serde_json::Value::Object(chosen)
    }

    /// The same tree in the language of Graphviz.
    pub fn to_dot(&self, architecture: &Assignment) -> String {
        let mut dot = String::from("digraph choices {\n");
        for (i, parameter) in self.space.parameters().iter().enumerate() {
            let Some(value) = architecture.get(i) else { continue };
            let label = format!("{} = {}", parameter.name, parameter.domain.text(value));
            dot.push_str(&format!("  n{i} [label=\"{}\"];\n", escaped(&label)));
            let above = parameter.when.first().and_then(|condition| self.space.position(&condition.parent));
            if let Some(above) = above {
                dot.push_str(&format!("  n{above} -> n{i};\n"));
            }
        }
        dot.push_str("}\n");
        dot
    }
}

/// A text between the double quotes of a DOT file.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl Architectures for Choices {
    fn space(&self) -> &Space {
        &self.space
    }

    /// What has been chosen, in the order of the space.
    fn key(&self, architecture: &Assignment) -> String {
        let texts = self.space.texts(architecture);
        texts.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(";")
    }

    fn features(&self, architecture: &Assignment) -> BTreeSet<String> {
        adjacency_features(&self.space, architecture)
    }

    fn distance(&self, a: &Assignment, b: &Assignment) -> usize {
        moves::differing(a, b)
    }
}

/// The adjacency encoding: for each value of each parameter whether the architecture has it, in the order of the space
/// (White et al. 2020, arXiv:2007.04965, section 3). For spaces of few values: it is as long as they are many.
pub fn adjacency_encoding(space: &Space, architecture: &Assignment) -> Vec<bool> {
    let one_hot = |(i, domain): (usize, &Domain)| {
        let value = architecture.get(i);
        (0..domain.cardinality().unwrap_or(0)).map(|k| Some(domain.nth(k)) == value).collect::<Vec<_>>()
    };
    let domains = space.parameters().iter().map(|parameter| &parameter.domain);
    domains.enumerate().flat_map(one_hot).collect()
}

/// The same as the set of what is there.
pub(crate) fn adjacency_features(space: &Space, architecture: &Assignment) -> BTreeSet<String> {
    let parameters = space.parameters().iter().enumerate();
    let has = parameters.filter_map(|(i, parameter)| {
        Some(format!("{}={}", parameter.name, parameter.domain.text(architecture.get(i)?)))
    });
    has.collect()
}

#[cfg(test)]
mod tests {
    use study::{Condition, Parameter, Requirement, Value};

    use super::*;

    fn choice(name: &str, choices: &[&str], when: Option<(&str, &str)>) -> Parameter {
        let condition = |(parent, value): (&str, &str)| Condition {
            parent: parent.into(),
            requirement: Requirement::OneOf { values: vec![value.into()] },
        };
        Parameter {
            name: name.into(),
            domain: Domain::Categorical {
                choices: choices.iter().map(ToString::to_string).collect(),
                ordered: false,
            },
            when: when.map(condition).into_iter().collect(),
            default: None,
            prior: None,
        }
    }

    #[test]
    fn choices_below_choices_are_a_tree() {
        let parameters = vec![
            choice("block", &["conv", "attention"], None),
            choice("kernel", &["3", "5"], Some(("block", "conv"))),
            choice("heads", &["2", "4", "8"], Some(("block", "attention"))),
        ];
        let choices = Choices::new(Space::new(parameters, vec![]).unwrap()).unwrap();
        let at = |block, kernel: Option<usize>, heads: Option<usize>| {
            Assignment(vec![Some(Value::Choice(block)), kernel.map(Value::Choice), heads.map(Value::Choice)])
        };
        let (conv, attention) = (at(0, Some(1), None), at(1, None, Some(2)));
        assert_eq!(choices.key(&conv), "block=conv;kernel=5");
        assert_eq!(choices.distance(&conv, &attention), 3);
        assert_eq!(
            choices.to_json(&attention).to_string(),
            r#"{"block":{"value":"attention","then":{"heads":{"value":"8"}}}}"#
        );
        assert!(choices.to_dot(&conv).contains("n0 -> n1;"));
        let encoded = adjacency_encoding(choices.space(), &conv);
        assert_eq!(encoded, [true, false, false, true, false, false, false]);
        // One change each: another kernel, or another block with the first of what comes with it.
        let steps = moves::steps(choices.space(), &conv);
        let near: Vec<_> =
            steps.into_iter().map(|step| moves::stepped(choices.space(), &conv, step)).collect();
        assert_eq!(near, [at(1, None, Some(0)), at(0, Some(0), None)]);
    }
}
