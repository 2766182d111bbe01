//! `extract:` and `check:` — what a step takes out of a response, and what it asks of it.

use scenario::{Check, Extraction, JsonPath, Pattern, RegexSubject, Source, StatusSet, Subject, Test};

use super::fields::{Fields, list, mapping, one_or_more, parsed, scalar, truth, whole};
use super::requests::{fitting, stops};
use super::scenarios::Reader;
use super::tree::{Key, Node, Value};
use crate::{PlanError, parse_duration, parse_size, quoted};

/// The keys of an extraction.
pub(crate) const EXTRACT_KEYS: [&str; 8] =
    ["json", "regex", "header", "cookie", "status", "group", "from", "default"];
const SOURCES: [&str; 5] = ["json", "regex", "header", "cookie", "status"];
/// The keys of a check.
pub(crate) const CHECK_KEYS: [&str; 8] = ["status", "header", "json", "body", "size", "time", "name", "else"];
const SUBJECTS: [&str; 6] = ["status", "header", "json", "body", "size", "time"];
/// What can be asked.
pub(crate) const TEST_KEYS: [&str; 9] =
    ["is", "not", "contains", "matches", "above", "below", "count", "exists", "sha256"];

/// Reads `extract:`.
pub(crate) fn extractions(node: &Node, reader: &mut Reader<'_>) -> Vec<Extraction> {
    let entries = mapping(node, "extract", reader.problems).unwrap_or_default();
    entries.iter().filter_map(|(key, node)| extraction(key, node, reader)).collect()
}

fn extraction(key: &Key, node: &Node, reader: &mut Reader<'_>) -> Option<Extraction> {
    let fields = Fields::of(node, "an extraction", &EXTRACT_KEYS, reader.problems)?;
    let Some((kind, at)) = fields.one_of(&SOURCES, "a variable has one source", reader.problems) else {
        let fix = format!("one of {}", SOURCES.join(", "));
        fields.missing(key.span, "nothing says where the value lies", fix, reader.problems);
        return None;
    };
    if kind != "regex" {
        for key in ["group", "from"] {
            if fields.get(key).is_some() {
                reader.problems.add(fields.at(key), format!("{key} belongs to a regex"), "leave it out");
            }
        }
    }
    let source = match kind {
        "json" => reader.text(at, JsonPath::parse).map(Source::Json),
        "regex" => regex(at, &fields, reader),
        "header" => reader.named(at).map(|(name, _)| Source::Header(name)),
        "cookie" => reader.named(at).map(|(name, _)| Source::Cookie(name)),
        _ => match parsed(at, reader.problems, truth) {
            Some(false) => {
                reader.problems.add(at.span, "status: false extracts nothing", "status: true");
                None
            }
            known => known.map(|_| Source::Status),
        },
    };
    let default = fields.get("default").and_then(|node| reader.template(node));
    let origin = reader.origins.of_key(key);
    Some(Extraction { variable: key.text.clone(), origin, source: source?, default })
}

fn regex(at: &Node, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Source> {
    let pattern = reader.text(at, Pattern::parse)?;
    let group = match fields.get("group") {
        None => usize::from(pattern.group_count() > 1),
        Some(node) => {
            let named = scalar(node, reader.problems)?;
            let found = named.text.parse().ok().or_else(|| pattern.group_named(&named.text));
            let Some(group) = found.filter(|group| *group < pattern.group_count()) else {
                let most = pattern.group_count() - 1;
                let what = format!("the pattern has no group {}", quoted(&named.text));
                reader.problems.add(node.span, what, format!("0 for the whole match, or up to {most}"));
                return None;
            };
            group
        }
    };
    let subject = fields.parse("from", reader.problems, |text| match text.split_once(' ') {
        None if text == "body" => Ok(RegexSubject::Body),
        Some(("header", name)) if !name.trim().is_empty() => Ok(RegexSubject::Header(name.trim().to_owned())),
        _ => Err(PlanError::new(
            format!("{} is not where a pattern can be looked for", quoted(text)),
            "body, or header NAME",
        )),
    });
    Some(Source::Regex { pattern, group, subject: subject.unwrap_or(RegexSubject::Body) })
}

/// Reads `check:`.
pub(crate) fn checks(node: &Node, reader: &mut Reader<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let nodes = match node.value {
        // One check needs no list.
        Value::Mapping(_) => std::slice::from_ref(node),
        Value::List(_) | Value::Scalar(_) => list(node, "check", reader.problems).unwrap_or_default(),
    };
    for node in nodes {
        check(node, reader, &mut checks);
    }
    checks
}

fn check(node: &Node, reader: &mut Reader<'_>, checks: &mut Vec<Check>) -> Option<()> {
    let fields = Fields::of(node, "a check", &CHECK_KEYS, reader.problems)?;
    let Some((kind, at)) = fields.one_of(&SUBJECTS, "a check of its own for each", reader.problems) else {
        let fix = format!("one of {}", SUBJECTS.join(", "));
        fields.missing(fields.span, "this check looks at nothing", fix, reader.problems);
        return None;
    };
    let given = fields.parse("name", reader.problems, |text| match text {
        "" => Err(PlanError::new("the name is empty", "a name, or leave it out")),
        _ => Ok(fitting(text)),
    });
    let stops = fields.parse("else", reader.problems, stops).unwrap_or(false);
    let origin = reader.origins.of_span(fields.at(kind));
    let mut add = |name: String, subject: Subject, tests: Vec<Test>| {
        checks.push(Check {
            name: given.clone().unwrap_or_else(|| fitting(&name)),
            origin,
            subject,
            tests,
            stops,
        });
    };
    match kind {
        "status" => {
            let (set, text) = statuses(at, reader)?;
            add(format!("status {text}"), Subject::Status(set), Vec::new());
        }
        "header" | "json" => {
            let entries = mapping(at, if kind == "json" { "json" } else { "header" }, reader.problems)?;
            if given.is_some() && entries.len() > 1 {
                let fix = "a check of its own for each, or no name";
                reader.problems.add(fields.at("name"), "one name stands for several checks", fix);
            }
            for (key, node) in entries {
                let subject = if kind == "header" {
                    Subject::Header(key.text.clone())
                } else {
                    let origin = reader.origins.of_key(key);
                    match JsonPath::parse(&key.text, origin) {
                        Ok(path) => Subject::Json(path),
                        Err(error) => {
                            reader.origins.tell(error, reader.problems);
                            continue;
                        }
                    }
                };
                let (tests, told) = tests(node, &subject, reader);
                add(format!("{kind} {}{told}", key.text), subject, tests);
            }
        }
        _ => {
            let subject = match kind {
                "body" => Subject::Body,
                "size" => Subject::Size,
                _ => Subject::Time,
            };
            let (tests, told) = tests(at, &subject, reader);
            add(format!("{kind}{told}"), subject, tests);
        }
    }
    Some(())
}

/// A status, a class, a range, or a list of them.
fn statuses(node: &Node, reader: &mut Reader<'_>) -> Option<(StatusSet, String)> {
    if let Value::Scalar(scalar) = &node.value {
        let set = reader.text(node, StatusSet::parse)?;
        return Some((set, scalar.text.clone()));
    }
    let mut texts = Vec::new();
    for node in one_or_more(node) {
        reader.text(node, StatusSet::parse)?;
        texts.push(scalar(node, reader.problems)?.text.clone());
    }
    let text = texts.join(",");
    // Each part was read by itself, so that faults point at it; together they are one set.
    let origin = reader.origins.of_span(node.span);
    let set =
        StatusSet::parse(&text, origin).map_err(|error| reader.origins.tell(error, reader.problems)).ok()?;
    Some((set, text))
}

/// The tests of a subject, and how their names go on.
fn tests(node: &Node, subject: &Subject, reader: &mut Reader<'_>) -> (Vec<Test>, String) {
    let mut found = Vec::new();
    let mut told = String::new();
    if let Value::Scalar(_) = node.value {
        if matches!(subject, Subject::Time) {
            reader.problems.add(node.span, "a time is no exact value", "{below: 200ms}");
        } else if let Some(test) = test("is", node, subject, reader) {
            told.push_str(&words("is", node));
            found.push(test);
        }
        return (found, told);
    }
    let Some(_) = Fields::of(node, "a test", &TEST_KEYS, reader.problems) else { return (found, told) };
    let entries = mapping(node, "a test", reader.problems).unwrap_or_default();
    for (key, node) in entries.iter().filter(|(key, _)| TEST_KEYS.contains(&key.text.as_str())) {
        let Some(test) = test(&key.text, node, subject, reader) else { continue };
        if !subject.takes(&test) {
            let what = format!("{} cannot be asked of {}", test.name(), subject.name());
            let fits = "is, not, contains, matches for texts; above, below for numbers; count, exists for JSON paths";
            reader.problems.add(key.span, what, fits);
            continue;
        }
        told.push_str(&words(test.name(), node));
        found.push(test);
    }
    (found, told)
}

/// Letters of what a test compares with that stand in a name.
const LONGEST_WORDS: usize = 40;

/// How a test is told in a name.
fn words(name: &str, node: &Node) -> String {
    let Value::Scalar(scalar) = &node.value else { return format!(" {name}") };
    if !scalar.variables.is_empty() {
        // Their values may be secrets, and differ from run to run.
        return format!(" {name} {}", scalar.variables.concat());
    }
    match scalar.text.char_indices().nth(LONGEST_WORDS) {
        None if scalar.text.is_empty() => format!(" {name} \"\""),
        None => format!(" {name} {}", scalar.text),
        Some((at, _)) => format!(" {name} {}…", &scalar.text[..at]),
    }
}

fn test(name: &str, node: &Node, subject: &Subject, reader: &mut Reader<'_>) -> Option<Test> {
    match name {
        "is" if matches!(subject, Subject::Size) => {
            let bytes = parsed(node, reader.problems, parse_size)?;
            Some(Test::Is(scenario::Template::literal(&bytes.to_string())))
        }
        "is" => reader.template(node).map(Test::Is),
        "not" => reader.template(node).map(Test::Not),
        "contains" => reader.template(node).map(Test::Contains),
        "matches" => reader.text(node, Pattern::parse).map(Test::Matches),
        "above" => parsed(node, reader.problems, |text| number(text, subject)).map(Test::Above),
        "below" => parsed(node, reader.problems, |text| number(text, subject)).map(Test::Below),
        "count" => parsed(node, reader.problems, whole(0)).map(Test::Count),
        "exists" => parsed(node, reader.problems, truth).map(Test::Exists),
        _ => parsed(node, reader.problems, digest).map(Test::Sha256),
    }
}

/// A limit, in the unit of its subject.
fn number(text: &str, subject: &Subject) -> Result<f64, PlanError> {
    match subject {
        Subject::Time => parse_duration(text).map(|ns| ns as f64),
        Subject::Size => parse_size(text).map(|bytes| bytes as f64),
        _ => {
            let finite = text.parse().ok().filter(|number: &f64| number.is_finite());
            finite
                .ok_or_else(|| PlanError::new(format!("{} is not a number", quoted(text)), "e.g. 10 or 0.5"))
        }
    }
}

/// A SHA-256 digest in hexadecimal.
fn digest(text: &str) -> Result<[u8; 32], PlanError> {
    let wrong = || PlanError::new("this is no SHA-256 digest", "64 hexadecimal digits");
    let mut bytes = [0; 32];
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(bytes)
}
