//! A request step: method, URL, headers, body, authentication; and `defaults:`, which stand in for what it leaves out.

use scenario::{
    Auth, BodySource, HeaderField, JsonNode, MultipartPart, PartValue, RequestStep, StatusSet, Step,
    Template, Think,
};

use super::checks::{checks, extractions};
use super::data::choose;
use super::fields::{Fields, list, mapping, parsed, scalar};
use super::laws::think;
use super::problem::Problems;
use super::profile::lasting;
use super::scenarios::Reader;
use super::targets::{file_name, unreadable};
use super::tree::{Node, Scalar, Value};
use crate::url::without_secrets;
use crate::{Method, PlanError, quoted};

/// Words for methods.
pub(crate) const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
];
/// The keys of a request beside its method.
pub(crate) const REQUEST_KEYS: [&str; 17] = [
    "request",
    "name",
    "target",
    "headers",
    "query",
    "body",
    "json",
    "form",
    "file",
    "multipart",
    "bytes",
    "auth",
    "redirects",
    "timeout",
    "fail-status",
    "tags",
    "extract",
];
pub(crate) const CHECK_KEY: &str = "check";
pub(crate) const LONG_KEYS: [&str; 2] = ["method", "url"];
pub(crate) const BODY_KEYS: [&str; 6] = ["body", "json", "form", "file", "multipart", "bytes"];
pub(crate) const PART_KEYS: [&str; 5] = ["name", "value", "file", "filename", "type"];
pub(crate) const DEFAULTS_KEYS: [&str; 6] =
    ["target", "timeout", "headers", "redirects", "fail-status", "think"];
pub(crate) const AUTH_KEYS: [&str; 5] = ["basic", "bearer", "digest", "oauth2", "aws"];
pub(crate) const LOGIN_KEYS: [&str; 2] = ["user", "password"];
pub(crate) const OAUTH2_KEYS: [&str; 5] = ["token-url", "client-id", "client-secret", "scope", "credentials"];
pub(crate) const AWS_KEYS: [&str; 5] = ["access-key", "secret-key", "session-token", "region", "service"];

/// Longest name of a request, in bytes.
const LONGEST_NAME: usize = 200;

/// All keys of a request step.
pub(crate) fn request_keys() -> Vec<&'static str> {
    METHODS.iter().map(|(word, _)| *word).chain(REQUEST_KEYS).chain([CHECK_KEY]).collect()
}

/// What steps do not say themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    target: Option<(String, scenario::Origin)>,
    timeout_ns: Option<u64>,
    headers: Vec<HeaderField>,
    redirects: u8,
    fail_status: Option<StatusSet>,
    pub(crate) think: Option<Think>,
}

/// Reads `defaults:`.
pub(crate) fn defaults(node: &Node, reader: &mut Reader<'_>) -> Option<Defaults> {
    let fields = Fields::of(node, "defaults", &DEFAULTS_KEYS, reader.problems)?;
    Some(Defaults {
        target: fields.get("target").and_then(|node| reader.named(node)),
        timeout_ns: fields.parse("timeout", reader.problems, lasting),
        headers: fields.get("headers").map(|node| headers(node, reader)).unwrap_or_default(),
        redirects: fields.parse("redirects", reader.problems, redirects).unwrap_or(0),
        fail_status: fields.get("fail-status").and_then(|node| reader.text(node, StatusSet::parse)),
        think: fields.get("think").and_then(|node| think(node, reader.problems)),
    })
}

/// Reads a request step, or a path alone.
pub(crate) fn request(reader: &mut Reader<'_>, node: &Node) -> Option<Step> {
    if let Value::Scalar(_) = node.value {
        return step(reader, "GET", node, None).map(|step| Step::Request(Box::new(step)));
    }
    let fields = Fields::of(node, "a request step", &request_keys(), reader.problems)?;
    let words: Vec<&'static str> = METHODS.iter().map(|(word, _)| *word).chain(["request"]).collect();
    let Some((word, at)) = fields.one_of(&words, "a step sends one request", reader.problems) else {
        fields.missing(fields.span, "the request has no method and path", "e.g. get: /", reader.problems);
        return None;
    };
    if word != "request" {
        let method = METHODS.iter().find(|(known, _)| *known == word).map_or("GET", |(_, method)| method);
        return step(reader, method, at, Some(&fields)).map(|step| Step::Request(Box::new(step)));
    }
    let long = Fields::of(at, "request", &LONG_KEYS, reader.problems)?;
    let example = "request: {method: PURGE, url: /cache}";
    let method = long.need("method", example, reader.problems);
    let method = method.and_then(|node| parsed(node, reader.problems, Method::parse));
    let url = long.need("url", example, reader.problems)?;
    step(reader, method?.as_str(), url, Some(&fields)).map(|step| Step::Request(Box::new(step)))
}

fn step(
    reader: &mut Reader<'_>,
    method: &str,
    url: &Node,
    fields: Option<&Fields<'_>>,
) -> Option<RequestStep> {
    let written = scalar(url, reader.problems)?;
    check_path(written, url, reader.problems);
    let template = reader.template(url);
    let origin = reader.origins.of(url, written);
    let shown = if written.confidential { "…" } else { &written.text };
    let mut step = RequestStep {
        name: fitting(&format!("{method} {}", without_secrets(shown))),
        origin,
        target: reader.defaults.target.clone(),
        method: method.to_owned(),
        headers: reader.defaults.headers.clone(),
        redirects: reader.defaults.redirects,
        timeout_ns: reader.defaults.timeout_ns,
        fail_status: reader.defaults.fail_status.clone(),
        ..RequestStep::default()
    };
    if let Some(fields) = fields {
        fill(&mut step, fields, reader);
    }
    step.url = template?;
    Some(step)
}

/// Takes over what the step says itself.
fn fill(step: &mut RequestStep, fields: &Fields<'_>, reader: &mut Reader<'_>) {
    if let Some(name) = fields.parse("name", reader.problems, request_name) {
        step.name = name;
    }
    if let Some(target) = fields.get("target").and_then(|node| reader.named(node)) {
        step.target = Some(target);
    }
    if let Some(own) = fields.get("headers").map(|node| headers(node, reader)) {
        let repeated = |field: &HeaderField| own.iter().any(|one| one.name.eq_ignore_ascii_case(&field.name));
        step.headers.retain(|field| !repeated(field));
        step.headers.extend(own);
    }
    step.query = fields.get("query").map(|node| pairs(node, "query", reader)).unwrap_or_default();
    step.body = body(fields, reader);
    step.auth = fields.get("auth").and_then(|node| auth(node, reader));
    if let Some(hops) = fields.parse("redirects", reader.problems, redirects) {
        step.redirects = hops;
    }
    if let Some(ns) = fields.parse("timeout", reader.problems, lasting) {
        step.timeout_ns = Some(ns);
    }
    if let Some(statuses) = fields.get("fail-status").and_then(|node| reader.text(node, StatusSet::parse)) {
        step.fail_status = Some(statuses);
    }
    let tags = fields.get("tags").map(|node| super::data::tags(node, reader.problems)).unwrap_or_default();
    step.tags = tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
    step.extractions = fields.get("extract").map(|node| extractions(node, reader)).unwrap_or_default();
    step.checks = fields.get(CHECK_KEY).map(|node| checks(node, reader)).unwrap_or_default();
}

/// A step's URL is a path below its target's.
fn check_path(scalar: &Scalar, node: &Node, problems: &mut Problems) {
    let text = &scalar.text;
    let error = if text.contains("://") {
        PlanError::new(
            "a step has a path, the host stands under targets:",
            "targets: {shop: http://…}, and here the path, e.g. /cart",
        )
    } else if text.is_empty() {
        PlanError::new("the path is empty", "e.g. /")
    } else if let Some((word, path)) = method_in_front(text) {
        let what = "the method is the key of a step, not a part of the path";
        PlanError::new(what, format!("{{{word}: {}}}", quoted(path).trim_matches('"')))
    } else if !text.starts_with('/') && !text.starts_with("{{") {
        PlanError::new("a path begins with /", format!("/{}", quoted(text).trim_matches('"')))
    } else if text.contains([' ', '\n', '\t']) && !text.contains("{{") {
        PlanError::new("the path has a space", "write it as %20, or put it into query:")
    } else {
        return;
    };
    problems.refuse(scalar, node.span, error);
}

/// A method that stands before a path, as in a request line.
fn method_in_front(text: &str) -> Option<(&'static str, &str)> {
    let (first, path) = text.split_once(' ')?;
    let (word, _) = METHODS.iter().find(|(word, _)| word.eq_ignore_ascii_case(first))?;
    Some((word, path.trim()))
}

fn request_name(text: &str) -> Result<String, PlanError> {
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains(char::is_control) {
        return Err(PlanError::new("this is no name for a request", "1 to 200 characters on one line"));
    }
    if text.contains("{{") {
        return Err(PlanError::new("a name is the same for all iterations", "a name without {{ … }}"));
    }
    Ok(text.to_owned())
}

/// A name made of a path, cut to what a name may be.
pub(crate) fn fitting(text: &str) -> String {
    let tamed = text.chars().map(|character| if character.is_control() { ' ' } else { character });
    let mut name = String::new();
    for character in tamed {
        if name.len() + character.len_utf8() > LONGEST_NAME {
            break;
        }
        name.push(character);
    }
    name
}

/// `off`, or how many redirects are followed.
fn redirects(text: &str) -> Result<u8, PlanError> {
    if matches!(text, "off" | "none") {
        return Ok(0);
    }
    let most = scenario::REDIRECTS_MAX;
    text.parse().ok().filter(|hops| *hops <= most).ok_or_else(|| {
        PlanError::new(format!("{} is no number of redirects", quoted(text)), format!("off, or 1 to {most}"))
    })
}

fn headers(node: &Node, reader: &mut Reader<'_>) -> Vec<HeaderField> {
    let entries = mapping(node, "headers", reader.problems).unwrap_or_default();
    let mut fields: Vec<HeaderField> = Vec::new();
    for (key, node) in entries {
        // The same strictness as for the flag; the value is a template, and judged where it is filled in.
        if let Err(error) = crate::Header::new(&key.text, "x") {
            reader.problems.add(key.span, error.what, error.fix);
            continue;
        }
        let origin = reader.origins.of_key(key);
        if fields.iter().any(|field| field.name.eq_ignore_ascii_case(&key.text)) {
            reader.problems.add(
                key.span,
                "this header is here a second time",
                "once; case makes no difference",
            );
        }
        let Some(value) = reader.template(node) else { continue };
        fields.push(HeaderField { name: key.text.clone(), origin, value });
    }
    fields
}

/// Names with templates: `query:` and `form:`.
fn pairs(node: &Node, what: &str, reader: &mut Reader<'_>) -> Vec<(String, Template)> {
    let entries = mapping(node, what, reader.problems).unwrap_or_default();
    let mut pairs = Vec::new();
    for (key, node) in entries {
        // A list repeats the name, as browsers do.
        for node in super::fields::one_or_more(node) {
            if let Some(value) = reader.template(node) {
                pairs.push((key.text.clone(), value));
            }
        }
    }
    pairs
}

/// The body: one of `body`, `json`, `form`, `file`, `multipart`, `bytes`, beside each other or below `body`.
fn body(fields: &Fields<'_>, reader: &mut Reader<'_>) -> BodySource {
    let Some((kind, node)) = fields.one_of(&BODY_KEYS, "a request has one body", reader.problems) else {
        return BodySource::None;
    };
    if kind != "body" {
        return body_of(kind, node, reader).unwrap_or_default();
    }
    if let Value::Scalar(_) = node.value {
        return reader.template(node).map(BodySource::Text).unwrap_or_default();
    }
    if let Value::List(_) = node.value {
        reader.problems.add(node.span, "a body is a text", "json: with a list sends it as JSON");
        return BodySource::None;
    }
    let kinds = &BODY_KEYS[1..];
    let Some(inner) = Fields::of(node, "a body", kinds, reader.problems) else { return BodySource::None };
    match inner.one_of(kinds, "a request has one body", reader.problems) {
        Some((kind, node)) => body_of(kind, node, reader).unwrap_or_default(),
        None => BodySource::None,
    }
}

fn body_of(kind: &str, node: &Node, reader: &mut Reader<'_>) -> Option<BodySource> {
    match kind {
        "json" => json(node, reader).map(BodySource::Json),
        "form" => Some(BodySource::Form(pairs(node, "form", reader))),
        "file" => {
            let (path, origin) = looked_at(node, reader)?;
            Some(BodySource::File(path, origin))
        }
        "bytes" => super::laws::size(node, reader).map(BodySource::Bytes),
        _ => {
            let nodes = list(node, "multipart", reader.problems)?;
            Some(BodySource::Multipart(nodes.iter().filter_map(|node| part(node, reader)).collect()))
        }
    }
}

/// The path of a file that is there.
fn looked_at(node: &Node, reader: &mut Reader<'_>) -> Option<(String, scenario::Origin)> {
    let world = reader.world;
    parsed(node, reader.problems, |path| {
        file_name(path)?;
        world.look(path).map_err(|reason| unreadable(path, &reason))
    })?;
    reader.named(node)
}

fn part(node: &Node, reader: &mut Reader<'_>) -> Option<MultipartPart> {
    let fields = Fields::of(node, "a part", &PART_KEYS, reader.problems)?;
    let named = fields.need("name", "e.g. {name: photo, file: cat.jpg}", reader.problems);
    let named = named.and_then(|node| reader.named(node));
    let value = match fields.one_of(&["value", "file"], "a value or a file", reader.problems) {
        Some(("value", node)) => reader.template(node).map(PartValue::Text),
        Some((_, node)) => looked_at(node, reader).map(|(path, origin)| PartValue::File(path, origin)),
        None => {
            fields.missing(
                fields.span,
                "the part has no value",
                "value: a text, or file: a path",
                reader.problems,
            );
            None
        }
    };
    let line = |text: &str| {
        let bad =
            text.is_empty() || text.contains(|character: char| character.is_control() || character == '"');
        if bad {
            Err(PlanError::new("this cannot stand in a part's header", "a text without quotation marks"))
        } else {
            Ok(text.to_owned())
        }
    };
    let filename = fields.parse("filename", reader.problems, line);
    let content_type = fields.parse("type", reader.problems, line);
    let (name, origin) = named?;
    Some(MultipartPart { name, origin, value: value?, filename, content_type })
}

/// Any YAML as JSON; texts may be templates.
fn json(node: &Node, reader: &mut Reader<'_>) -> Option<JsonNode> {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Some(JsonNode::Plain("null".into())),
        Value::Scalar(scalar) if scalar.plain => match core(&scalar.text) {
            Core::Plain(text) => Some(JsonNode::Plain(text)),
            Core::NotJson => {
                reader.problems.add(
                    node.span,
                    "JSON has no such number",
                    "quotation marks around it make it a text",
                );
                None
            }
            Core::Text => reader.template(node).map(JsonNode::Text),
        },
        Value::Scalar(_) => reader.template(node).map(JsonNode::Text),
        Value::List(nodes) => {
            let items: Vec<Option<JsonNode>> = nodes.iter().map(|node| json(node, reader)).collect();
            items.into_iter().collect::<Option<_>>().map(JsonNode::List)
        }
        Value::Mapping(entries) => {
            let mut members = Vec::new();
            for (key, node) in entries {
                let origin = reader.origins.of_key(key);
                let name = Template::parse(&key.text, origin)
                    .map_err(|error| reader.origins.tell(error, reader.problems));
                if let (Ok(name), Some(value)) = (name, json(node, reader)) {
                    members.push((name, value));
                }
            }
            Some(JsonNode::Map(members))
        }
    }
}

/// What YAML 1.2's core schema makes of an unquoted text.
pub(crate) enum Core {
    /// A truth value or a number, as JSON writes it.
    Plain(String),
    /// A number that JSON does not have.
    NotJson,
    /// A text.
    Text,
}

pub(crate) fn core(text: &str) -> Core {
    match text {
        "true" | "True" | "TRUE" => return Core::Plain("true".into()),
        "false" | "False" | "FALSE" => return Core::Plain("false".into()),
        ".nan" | ".NaN" | ".NAN" => return Core::NotJson,
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Core::NotJson;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let number = text.strip_prefix(prefix).filter(|digits| !digits.starts_with(['+', '-']));
        if let Some(number) = number.and_then(|digits| u128::from_str_radix(digits, radix).ok()) {
            return Core::Plain(number.to_string());
        }
    }
    decimal(sign, digits).map_or(Core::Text, Core::Plain)
}

/// A decimal number of YAML as JSON writes it: with digits on both sides of the point, without leading zeros.
fn decimal(sign: &str, text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_none_or(str::is_empty)
        || !digits(whole)
        || !fraction.is_none_or(digits)
    {
        return None;
    }
    if let Some(exponent) = exponent {
        let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if bare.is_empty() || !digits(bare) {
            return None;
        }
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = fraction
        .filter(|fraction| !fraction.is_empty())
        .map_or(String::new(), |fraction| format!(".{fraction}"));
    let exponent = exponent.map_or(String::new(), |exponent| format!("e{exponent}"));
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}

fn auth(node: &Node, reader: &mut Reader<'_>) -> Option<Auth> {
    let fields = Fields::of(node, "auth", &AUTH_KEYS, reader.problems)?;
    let Some((kind, node)) = fields.one_of(&AUTH_KEYS, "a request proves itself in one way", reader.problems)
    else {
        fields.missing(
            node.span,
            "auth says nothing",
            format!("one of {}", AUTH_KEYS.join(", ")),
            reader.problems,
        );
        return None;
    };
    match kind {
        "bearer" => reader.template(node).map(Auth::Bearer),
        "basic" | "digest" => {
            let fields = Fields::of(node, "a login", &LOGIN_KEYS, reader.problems)?;
            let example = "{user: me, password: \"{{secret.password}}\"}";
            let mut get = |name: &str| needed(&fields, name, example, reader);
            let (user, password) = (get("user"), get("password"));
            let (user, password) = (user?, password?);
            Some(if kind == "basic" {
                Auth::Basic { user, password }
            } else {
                Auth::Digest { user, password }
            })
        }
        "oauth2" => {
            let fields = Fields::of(node, "oauth2", &OAUTH2_KEYS, reader.problems)?;
            let mut get =
                |name: &str| needed(&fields, name, "token-url, client-id and client-secret", reader);
            let (url, id, secret) = (get("token-url"), get("client-id"), get("client-secret"));
            let scope = fields.get("scope").and_then(|node| reader.template(node));
            let places =
                |text: &str| choose(text, "a place for credentials", &[("header", false), ("body", true)]);
            let in_body = fields.parse("credentials", reader.problems, places).unwrap_or(false);
            let url = url.filter(|url| match url.as_literal().map(crate::Url::parse) {
                Some(Err(error)) => {
                    if let Some(node) = fields.get("token-url")
                        && let Value::Scalar(scalar) = &node.value
                    {
                        reader.problems.refuse(scalar, node.span, error);
                    }
                    false
                }
                _ => true,
            });
            Some(Auth::OAuth2 { token_url: url?, client_id: id?, client_secret: secret?, scope, in_body })
        }
        _ => {
            let fields = Fields::of(node, "aws", &AWS_KEYS, reader.problems)?;
            let mut get =
                |name: &str| needed(&fields, name, "access-key, secret-key, region and service", reader);
            let (access, secret) = (get("access-key"), get("secret-key"));
            let (region, service) = (get("region"), get("service"));
            let session_token = fields.get("session-token").and_then(|node| reader.template(node));
            let (access_key, secret_key) = (access?, secret?);
            Some(Auth::Aws { access_key, secret_key, session_token, region: region?, service: service? })
        }
    }
}

/// Reads a template that must be there.
fn needed(fields: &Fields<'_>, name: &str, example: &str, reader: &mut Reader<'_>) -> Option<Template> {
    let node = fields.need(name, example, reader.problems)?;
    reader.template(node)
}

/// What a request's `else:` can be.
pub(crate) fn stops(text: &str) -> Result<bool, PlanError> {
    choose(text, "what a check can do", &[("continue", false), ("stop", true)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_texts_are_what_yaml_1_2_says() {
        for (text, expected) in [
            ("true", "true"),
            ("False", "false"),
            ("12", "12"),
            ("-0.50", "-0.50"),
            ("+5", "5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("007", "7"),
            ("1e3", "1e3"),
            ("1E+3", "1e+3"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ] {
            assert!(matches!(core(text), Core::Plain(plain) if plain == expected), "{text}");
        }
        for text in [
            "no",
            "on",
            "yes",
            "1.2.3",
            "1e",
            "0x",
            "-",
            ".",
            "1_000",
            "12:30",
            "2026-11-21",
            "NaN",
            "Infinity",
            "0x-1",
        ] {
            assert!(matches!(core(text), Core::Text), "{text}");
        }
        for text in [".nan", ".inf", "-.Inf"] {
            assert!(matches!(core(text), Core::NotJson), "{text}");
        }
    }
}
