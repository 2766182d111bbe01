//! Random objects, read by us and by `serde_json`.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::proptest_config::cases;

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{0,10}", "[\"\\\\/\u{0}-\u{20}é😀{}\\[\\]:,]{0,10}"]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(texts(), inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

/// The same value, written in another way: white space, and escapes where none are needed.
fn written(value: &Value, seed: &mut u32, out: &mut String) {
    let mut choose = |of: u32| {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*seed >> 16) % of
    };
    out.push_str([" ", "", "", "\t"][choose(4) as usize]);
    match value {
        Value::Object(map) => {
            out.push('{');
            for (number, (key, value)) in map.iter().enumerate() {
                out.push_str(if number > 0 { ", " } else { "" });
                written(&Value::from(key.as_str()), seed, out);
                out.push_str(" :");
                written(value, seed, out);
            }
            out.push_str(" }");
        }
        Value::Array(items) => {
            out.push('[');
            for (number, value) in items.iter().enumerate() {
                out.push_str(if number > 0 { " ," } else { "" });
                written(value, seed, out);
            }
            out.push(']');
        }
        Value::String(text) if choose(2) == 0 => {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
            out.extend(["\"", &units.collect::<String>(), "\""]);
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn objects_are_read_as_serde_json_reads_them(
        keys in prop::collection::btree_set(texts().prop_filter("a name", |key| !key.is_empty()), 1..5),
        columns in prop::collection::vec(prop::collection::vec(values(), 4), 1..20),
        seed: u32,
    ) {
        let mut seed = seed;
        let objects: Vec<Value> = columns
            .into_iter()
            .map(|values| Value::from(keys.iter().cloned().zip(values).collect::<Map<_, _>>()))
            .collect();
        let mut text = String::new();
        for object in &objects {
            written(object, &mut seed, &mut text);
            text.push_str(["\n", "\r\n", "\n\n", " \n"][seed as usize % 4]);
        }
        let rows = Rows::read(text.as_bytes(), Format::Jsonl, None).unwrap();
        prop_assert_eq!(rows.count(), objects.len() as u64);
        for (number, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
            let theirs: Value = serde_json::from_str(line).unwrap();
            for (column, name) in rows.columns() {
                let ours = rows.row(RowIndex(number as u64)).field(column).text().into_owned();
                match &theirs[name] {
                    Value::String(text) => prop_assert_eq!(&ours, text.as_bytes()),
                    other => prop_assert_eq!(&serde_json::from_slice::<Value>(&ours).unwrap(), other),
                }
            }
        }
    }

    /// Whether a line is an object, both say alike; with no member twice, which only they accept.
    #[test]
    fn what_is_accepted_is_what_serde_json_accepts(
        before in texts(), value in values(), cut in 0_usize..60, replaced in 0_usize..60, byte in "[\"\\\\{}\\[\\],:u0-9eE.+a-f -]"
    ) {
        let mut line = format!("{{\"a\":1,{}:{value}}}", Value::from(format!("b{before}")));
        if replaced < line.len() && line.is_char_boundary(replaced) && line.is_char_boundary(replaced + 1) {
            line.replace_range(replaced..=replaced, &byte);
        }
        if cut % 3 == 0 && line.is_char_boundary(cut.min(line.len())) {
            line.truncate(line.len().min(cut));
        }
        let theirs = serde_json::from_str::<Map<String, Value>>(&line);
        match Rows::read(line.as_bytes(), Format::Jsonl, Some(names(&["a"]))) {
            Ok(_) => {
                let is_fine = theirs.as_ref().map_or_else(|error| error.to_string().contains("out of range"), |_| true);
                prop_assert!(is_fine, "{line}: {theirs:?}");
            }
            Err(FeederError::Json { .. } | FeederError::Empty | FeederError::NoRow) => {
                prop_assert!(theirs.is_err(), "{line}: refused");
            }
            Err(FeederError::MissingMember { .. }) => prop_assert!(!theirs.unwrap().contains_key("a"), "{line}"),
            Err(FeederError::SameMember { .. }) => {}
            Err(error) => prop_assert!(false, "{line}: {error}"),
        }
    }
}

#[test]
fn depth_is_limited_as_serde_json_limits_it() {
    for (levels, is_fine) in [(125, true), (126, true), (127, false), (5_000, false)] {
        for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
            let line = format!("{{\"a\":{}1{}}}", open.repeat(levels), close.repeat(levels));
            assert_eq!(serde_json::from_str::<Value>(&line).is_ok(), is_fine, "{levels}");
            assert_eq!(Rows::read(line.as_bytes(), Format::Jsonl, None).is_ok(), is_fine, "{levels}");
        }
    }
}
