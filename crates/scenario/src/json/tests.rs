use proptest::prelude::*;

use super::*;
use crate::error::Origin;

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text, Origin(0)).expect(text)
}

fn all(path_text: &str, json: &str) -> Result<Vec<String>, InvalidJson> {
    let mut found = Vec::new();
    path(path_text).find(json.as_bytes(), &mut |value| {
        found.push(String::from_utf8_lossy(value).into_owned());
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn text(value: &str) -> String {
    let mut out = Vec::new();
    push_text(value.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

const SHOP: &str =
    r#" { "a": {"b": [1, {"c": "x"}, [2, 3]], "c": null}, "c" : true , "a\u0062": -1.5e3, "d":[] } "#;

#[test]
fn paths_select() {
    for (path, expected) in [
        ("$.c", vec!["true"]),
        ("$.ab", vec!["-1.5e3"]),
        ("$.a.b[0]", vec!["1"]),
        ("$.a.b[-1]", vec!["[2, 3]"]),
        ("$.a.b[1].c", vec!["\"x\""]),
        ("$.a.b[*]", vec!["1", "{\"c\": \"x\"}", "[2, 3]"]),
        ("$.a.b[1:]", vec!["{\"c\": \"x\"}", "[2, 3]"]),
        ("$.a.b[:-1]", vec!["1", "{\"c\": \"x\"}"]),
        ("$..c", vec!["\"x\"", "null", "true"]),
        ("$..[0]", vec!["1", "2"]),
        ("$.a.b..*", vec!["1", "{\"c\": \"x\"}", "\"x\"", "[2, 3]", "2", "3"]),
        ("$.d[*]", vec![]),
        ("$.d[-1]", vec![]),
        ("$.c.x", vec![]),
        ("$.a[0]", vec![]),
        ("$.a.b.c", vec![]),
        ("$.zzz", vec![]),
    ] {
        assert_eq!(all(path, SHOP), Ok(expected.into_iter().map(str::to_owned).collect()), "{path}");
    }
    assert_eq!(all("$", " 12 "), Ok(vec!["12".to_owned()]));
    assert_eq!(path("$..*").count(SHOP.as_bytes()), Ok(12));
    assert_eq!(
        path("$.c").first(b"{\"c\":7,!").unwrap(),
        Some(&b"7"[..]),
        "what follows the match is not read"
    );
}

#[test]
fn invalid_documents() {
    for json in [
        "",
        "{",
        "[1",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "01",
        "1.",
        "-",
        "1e",
        "tru",
        "[truex]",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "[1 2]",
        "{} x",
        "nul",
        "+1",
        "'a'",
        "[1}",
    ] {
        assert!(path("$.zzz").first(json.as_bytes()).is_err(), "{json}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(path("$.a").first(deep(DEPTH_MAX).as_bytes()), Ok(None));
    assert!(path("$.a").first(deep(DEPTH_MAX + 1).as_bytes()).is_err());
}

#[test]
fn texts() {
    for (value, expected) in [
        (r#""a\"b\\c\/\n\t""#, "a\"b\\c/\n\t"),
        (r#""\u00e4\ud83d\ude00""#, "ä😀"),
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ("\"\"", ""),
        ("{\"a\": 1}", "{\"a\": 1}"),
        ("1.50", "1.50"),
    ] {
        assert_eq!(text(value), expected);
    }
}

/// What a path selects in a tree, the slow way.
fn selected<'a>(
    value: &'a serde_json::Value,
    segments: &[crate::json_path::Segment],
    out: &mut Vec<&'a serde_json::Value>,
) {
    let Some((segment, rest)) = segments.split_first() else {
        out.push(value);
        return;
    };
    let children: Vec<(Option<&str>, usize, &serde_json::Value)> = match value {
        serde_json::Value::Object(members) => {
            members.iter().map(|(name, child)| (Some(name.as_str()), 0, child)).collect()
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().map(|(index, child)| (None, index, child)).collect()
        }
        _ => Vec::new(),
    };
    let count = i64::try_from(children.len()).unwrap();
    for (name, index, child) in children {
        let is_selected = match (&segment.selector, name) {
            (Selector::Name(wanted), Some(name)) => wanted == name,
            (Selector::Wildcard, _) => true,
            (selector, None) => selector.selects(i64::try_from(index).unwrap(), count),
            _ => false,
        };
        if is_selected {
            selected(child, rest, out);
        }
        if segment.is_descendant {
            selected(child, segments, out);
        }
    }
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        "[a-c\"\\\\\n\u{e4}\u{1f600}]{0,4}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-c\"\u{e4}]{1,2}", inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn some_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        "\\.[a-c]",
        "\\.\\.[a-c]",
        "\\[[0-2]\\]",
        "\\[-[1-3]\\]",
        Just("[*]".to_owned()),
        Just("[1:]".to_owned()),
        Just("[:-1]".to_owned()),
        Just("..[0]".to_owned()),
    ];
    // One descendant at most: beyond that RFC 9535 gives a value several times, and this crate once.
    proptest::collection::vec(segment, 0..4).prop_map(|segments| {
        let mut seen = false;
        let once = |segment: &String| !segment.starts_with("..") || !std::mem::replace(&mut seen, true);
        format!("${}", segments.into_iter().filter(once).collect::<String>())
    })
}

proptest! {
    #![proptest_config(crate::proptest_config::cases(1_000))]

    #[test]
    fn agrees_with_a_tree(document in document(), path_text in some_path(), pretty in any::<bool>()) {
        let json = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let path = path(&path_text);
        let mut expected = Vec::new();
        selected(&document, &path.segments, &mut expected);
        let found: Vec<serde_json::Value> =
            all(&path_text, &json).unwrap().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let mut wanted: Vec<String> = expected.iter().map(ToString::to_string).collect();
        let mut got: Vec<String> = found.iter().map(ToString::to_string).collect();
        if !path_text.contains("..") {
            prop_assert_eq!(&got, &wanted, "{} in {}", path_text, json);
        }
        wanted.sort();
        got.sort();
        prop_assert_eq!(got, wanted, "{} in {}", path_text, json);
    }

    #[test]
    fn strings_mean_what_serde_says(value in ".{0,20}") {
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(text(&json), value);
    }

    /// A document cut anywhere gives the same first match or none.
    #[test]
    fn cut_documents_give_no_false_match(document in document(), path_text in some_path()) {
        let json = serde_json::to_string(&document).unwrap();
        let path = path(&path_text);
        let whole = path.first(json.as_bytes()).unwrap();
        // A bare number at the top of a document is complete wherever it ends.
        prop_assume!(json.starts_with(['[', '{']));
        for end in 0..json.len() {
            if let Ok(found) = path.first(&json.as_bytes()[..end]) {
                prop_assert_eq!(found, whole, "{} cut at {}", json, end);
                prop_assert!(found.is_some());
            }
        }
    }

    #[test]
    fn no_input_panics(json in proptest::collection::vec(any::<u8>(), 0..60), path_text in some_path()) {
        let _ = path(&path_text).count(&json);
    }
}
