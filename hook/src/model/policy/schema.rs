//! The policy language as a JSON Schema (draft 2020-12), for editors. It is made of the very words
//! that the reader takes, so the two cannot drift apart.

use super::action::{Action, Hold, OnFailure, RuleWhen, When};
use super::matching::MatchKey;
use super::read::{settings_of, window_keys, DefaultsKey, RuleKey, TopKey};
use super::signal::{SignalTo, SignalUntil};
use super::terms::Dependents;
use super::window::Day;
use crate::model::owner::OwnerKind;
use crate::model::verdict::{CauseKind, Method, Verdict};
use serde_json::{json, Map, Value};

const DURATION: &str = "^[0-9]{1,9}(ms|s|m|h)$";
const TIME: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$";

fn words(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": DURATION })
}

fn object(keys: &[&str], value: impl Fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), value(key))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn one_or_list(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "array", "minItems": 1, "items": value }] })
}

fn nullable(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "null" }] })
}

/// The schema of a policy file.
pub fn schema() -> Value {
    let mut schema = object(TopKey::WORDS, |key| match key.parse() {
        Ok(TopKey::Version) => json!({ "const": 1 }),
        Ok(TopKey::Defaults) => nullable(object(DefaultsKey::WORDS, default_key)),
        Ok(TopKey::Windows) => {
            let mut window = object(window_keys(), window_key);
            window["required"] = json!(["from", "to"]);
            nullable(json!({ "type": "object", "additionalProperties": window }))
        }
        Ok(TopKey::Rules) => nullable(json!({ "type": "array", "items": rule() })),
        Err(()) => json!(false),
    });
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("reexec policy");
    schema["type"] = json!(["object", "null"]);
    schema["$defs"] = json!({ "ladder": ladder() });
    schema
}

fn default_key(key: &str) -> Value {
    match key.parse() {
        Ok(DefaultsKey::Action) => json!({ "$ref": "#/$defs/ladder" }),
        Ok(DefaultsKey::When) => words(When::WORDS),
        Ok(DefaultsKey::Settle | DefaultsKey::Deadline | DefaultsKey::Quiet) => duration(),
        Ok(DefaultsKey::MaxParallel) => json!({ "type": "integer", "minimum": 1, "maximum": 1024 }),
        Ok(DefaultsKey::Hold) => words(Hold::WORDS),
        Ok(DefaultsKey::Metrics) => json!({ "type": "string", "pattern": "^/.*[^/]$" }),
        Ok(DefaultsKey::RebootFlag) => json!({ "type": "boolean" }),
        Err(()) => json!(false),
    }
}

fn window_key(key: &str) -> Value {
    let day = Day::WORDS.join("|");
    match key {
        "days" => one_or_list(json!({ "type": "string", "pattern": format!("^({day})(-({day}))?$") })),
        "timezone" => json!({ "type": "string" }),
        _ => json!({ "type": "string", "pattern": TIME }),
    }
}

fn rule() -> Value {
    let mut rule = object(RuleKey::WORDS, |key| match key.parse() {
        Ok(RuleKey::Name) => json!({ "type": "string", "minLength": 1, "maxLength": 100 }),
        Ok(RuleKey::Match) => {
            let mut matching = object(MatchKey::WORDS, match_key);
            let mut not = matching.clone();
            not["minProperties"] = json!(1);
            matching["properties"]["not"] = not;
            matching
        }
        Ok(RuleKey::Action) => json!({ "$ref": "#/$defs/ladder" }),
        Ok(RuleKey::Protect | RuleKey::Canary) => json!({ "type": "boolean" }),
        Ok(RuleKey::Window) => json!({ "type": "string" }),
        Ok(RuleKey::When) => words(RuleWhen::WORDS),
        Ok(RuleKey::Settle | RuleKey::Deadline) => duration(),
        Ok(RuleKey::MaxParallel) => json!({ "type": "integer", "minimum": 1, "maximum": 1024 }),
        Ok(RuleKey::Hold) => words(Hold::WORDS),
        Ok(RuleKey::OnFailure) => words(OnFailure::WORDS),
        Ok(RuleKey::Dependents) => words(Dependents::WORDS),
        Err(()) => json!(false),
    });
    rule["required"] = json!(["action"]);
    rule
}

fn match_key(key: &str) -> Value {
    let pattern = || json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    one_or_list(match key.parse() {
        Ok(MatchKey::Unit | MatchKey::Exe | MatchKey::Path | MatchKey::Package) => pattern(),
        Ok(MatchKey::Slice | MatchKey::Container) => pattern(),
        Ok(MatchKey::User) => json!({ "type": ["string", "integer"] }),
        Ok(MatchKey::Owner) => words(OwnerKind::WORDS),
        Ok(MatchKey::Cause) => words(CauseKind::WORDS),
        Ok(MatchKey::Method) => words(Method::WORDS),
        Ok(MatchKey::Verdict) => words(Verdict::WORDS),
        Err(()) => json!(false),
    })
}

fn ladder() -> Value {
    let plain: Vec<&str> =
        Action::WORDS.iter().copied().filter(|word| !matches!(*word, "signal" | "command")).collect();
    let mut forms = vec![words(&plain)];
    for word in Action::WORDS {
        let Ok(action) = word.parse::<Action>() else { continue };
        if let Some(value) = settings(action) {
            let mut form = object(&[*word], |_| value.clone());
            form["required"] = json!([word]);
            forms.push(form);
        }
    }
    one_or_list(json!({ "anyOf": forms }))
}

/// What stands under an action that takes settings.
fn settings(action: Action) -> Option<Value> {
    let mut settings = match settings_of(action) {
        [] => return None,
        keys => object(keys, |key| match key {
            "deadline" => duration(),
            "terminal" => json!({ "type": "boolean" }),
            "to" => words(SignalTo::WORDS),
            "until" => words(SignalUntil::WORDS),
            "run" => json!({
                "type": "array", "minItems": 1, "maxItems": 64,
                "prefixItems": [{ "type": "string", "pattern": "^/" }],
                "items": { "type": ["string", "number"] },
            }),
            _ => json!({ "type": "string" }),
        }),
    };
    match action {
        Action::Command => settings["required"] = json!(["run"]),
        Action::Signal => {
            settings["required"] = json!(["send"]);
            settings = one_or_list(json!({ "anyOf": [{ "type": "string" }, settings] }));
        }
        _ => {}
    }
    Some(settings)
}
