//! Checks answers of explain_access against docs/explain_access.schema.json.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

pub struct Schema {
    schema: Value,
    validator: Validator,
    /// What of the schema answers had; see [`places`].
    seen: BTreeSet<String>,
}

impl Default for Schema {
    fn default() -> Self {
        let text = include_str!("../../../docs/explain_access.schema.json");
        let schema = serde_json::from_str(text).expect("the schema is JSON");
        jsonschema::meta::validate(&schema).expect("the schema is one");
        let validator = jsonschema::validator_for(&schema).expect("the schema is one");
        Schema {
            schema,
            validator,
            seen: BTreeSet::new(),
        }
    }
}

pub fn check(answer: &Value) -> Result<(), String> {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::default);
    SCHEMA.check(answer)
}

impl Schema {
    fn check(&self, answer: &Value) -> Result<(), String> {
        let errors: Vec<_> = self
            .validator
            .iter_errors(answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        match errors.is_empty() {
            true => Ok(()),
            false => Err(format!("not as the schema says: {}", errors.join("; "))),
        }
    }

    /// Checks, and remembers what it has.
    pub fn note(&mut self, answer: &Value) -> Result<(), String> {
        self.check(answer)?;
        let evaluation = self.validator.evaluate(answer);
        let evaluation = serde_json::to_value(evaluation.hierarchical()).expect("it is JSON");
        self.see(&evaluation, answer);
        Ok(())
    }

    fn see(&mut self, evaluation: &Value, answer: &Value) {
        // What fits in an alternative that does not is not seen.
        if evaluation["valid"] != true {
            return;
        }
        let text = |key: &str| evaluation[key].as_str().unwrap_or_default();
        let place = text("schemaLocation").trim_start_matches('#');
        let value = answer.pointer(text("instanceLocation"));
        self.seen.insert(place.into());
        if let Some(value) = value {
            if place.ends_with("/enum") {
                self.seen.insert(format!("{place}/{value}"));
            } else if place.ends_with("/type") {
                self.seen.insert(format!("{place}/{}", type_of(value)));
            }
        }
        for part in evaluation["details"].as_array().into_iter().flatten() {
            self.see(part, answer);
        }
    }

    /// What the schema describes and no answer had.
    pub fn unseen(&self) -> Vec<String> {
        let mut all = BTreeSet::new();
        places(&self.schema, String::new(), &mut all);
        all.difference(&self.seen).cloned().collect()
    }
}

/// Each property, alternative, type and value of an enum.
fn places(schema: &Value, at: String, all: &mut BTreeSet<String>) {
    for (key, value) in schema.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    all.insert(format!("{at}/{name}"));
                    places(property, format!("{at}/{name}"), all);
                }
            }
            ("$defs", Value::Object(definitions)) => {
                for (name, definition) in definitions {
                    places(definition, format!("{at}/{name}"), all);
                }
            }
            ("oneOf", Value::Array(alternatives)) => {
                for (index, alternative) in alternatives.iter().enumerate() {
                    all.insert(format!("{at}/{index}"));
                    places(alternative, format!("{at}/{index}"), all);
                }
            }
            ("enum", Value::Array(values)) => {
                all.extend(values.iter().map(|value| format!("{at}/{value}")));
            }
            ("type", Value::Array(types)) => {
                let types = types.iter().filter_map(Value::as_str);
                all.extend(types.map(|name| format!("{at}/{name}")));
            }
            ("items", items) => places(items, at, all),
            _ => {}
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
