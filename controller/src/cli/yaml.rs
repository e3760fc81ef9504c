//! JSON as YAML for people.

pub(super) use controller_core::yaml::write;
