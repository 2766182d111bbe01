//! `${NAME}` and `${NAME:-default}`: the environment, put into the texts of a plan.
//!
//! What it is: a walk over the tree after YAML was read, so that no value ever changes the plan's structure. `$${`
//! stands for `${` itself. What it is not: templates (`{{ … }}`), which are filled in at run time.
//! Invariant: what a variable holds is never shown where its name sounds like a secret, or where `secrets:` names it.

use std::collections::BTreeSet;

use super::World;
use super::problem::Problems;
use super::source::Span;
use super::tree::{Node, Scalar, Value};

/// Most bytes that all variables together may put in.
const MOST_BYTES: usize = 1 << 20;
/// Parts of a variable's name that make its value a secret.
const SECRET_PARTS: &[&str] =
    &["PASS", "PWD", "SECRET", "TOKEN", "KEY", "AUTH", "CREDENTIAL", "COOKIE", "PIN", "PRIVATE"];

/// Puts variables into every text of `node`.
pub(crate) fn substitute(
    node: &mut Node,
    confidential: &BTreeSet<String>,
    world: &dyn World,
    problems: &mut Problems,
) {
    let mut walk = Walk { confidential, world, problems, bytes: 0 };
    walk.node(node);
}

struct Walk<'a> {
    /// Variables that `secrets:` names.
    confidential: &'a BTreeSet<String>,
    world: &'a dyn World,
    problems: &'a mut Problems,
    bytes: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Scalar(scalar) => self.scalar(scalar, node.span),
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.node(node)),
            Value::Mapping(entries) => {
                for (key, node) in entries {
                    if key.text.contains("${") {
                        self.problems.add(key.span, "variables are not put into keys", "write the key out");
                    }
                    self.node(node);
                }
            }
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar, span: Span) {
        if !scalar.text.contains("${") {
            return;
        }
        let text = std::mem::take(&mut scalar.text);
        scalar.broken = true;
        let mut put = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(found) = text[at..].find("${") {
            let dollar = at + found;
            if found > 0 && text.as_bytes()[dollar - 1] == b'$' {
                put.push_str(&text[at..dollar]);
                put.push('{');
                at = dollar + 2;
                continue;
            }
            put.push_str(&text[at..dollar]);
            let Some(length) = text[dollar..].find('}') else {
                let fix = "${NAME}, or $${ for the two characters themselves";
                self.problems.add(part(scalar, span, dollar, text.len()), "${ is not closed by }", fix);
                return;
            };
            let end = dollar + length + 1;
            let place = part(scalar, span, dollar, end);
            let Some(value) = self.value(&text[dollar + 2..end - 1], place, scalar) else { return };
            self.bytes += value.len();
            if self.bytes > MOST_BYTES {
                self.problems.add(place, "the variables put in more than 1 MiB", "a file for large texts");
                return;
            }
            put.push_str(&value);
            at = end;
        }
        put.push_str(&text[at..]);
        scalar.verbatim = false;
        scalar.broken = false;
        scalar.text = put;
    }

    /// What stands for the expression between the brackets.
    fn value(&mut self, expression: &str, place: Span, scalar: &mut Scalar) -> Option<String> {
        let end = expression.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        let (name, rest) = expression.split_at(end.unwrap_or(expression.len()));
        if name.is_empty() || name.starts_with(|character: char| character.is_ascii_digit()) {
            self.problems.add(
                place,
                "no name of a variable stands between ${ and }",
                "${NAME}, or $${ for the two characters themselves",
            );
            return None;
        }
        let default = match (rest, rest.strip_prefix(":-")) {
            ("", _) => None,
            (_, Some(default)) if default.contains("${") => {
                self.problems.add(place, "a default cannot hold another variable", "a plain text behind :-");
                return None;
            }
            (_, Some(default)) => Some(default),
            (_, None) => {
                let what = format!("{} behind the variable's name means nothing", crate::quoted(rest));
                self.problems.add(place, what, format!("${{{name}}} or ${{{name}:-default}}"));
                return None;
            }
        };
        let held = match self.world.variable(name) {
            Ok(held) => held,
            Err(what) => {
                self.problems.add(place, format!("the variable {name} {what}"), "another value");
                return None;
            }
        };
        // As in a shell, `:-` also stands in for an empty variable.
        let value = match (held, default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (None, None) => {
                let what = format!("the variable {name} is not set");
                self.problems.add(place, what, format!("export {name}=…, or a default: ${{{name}:-…}}"));
                return None;
            }
        };
        let upper = name.to_ascii_uppercase();
        scalar.confidential |=
            SECRET_PARTS.iter().any(|part| upper.contains(part)) || self.confidential.contains(name);
        scalar.variables.push(format!("${{{name}}}"));
        Some(value)
    }
}

/// The place of a part of a scalar's text, as exactly as it is known.
fn part(scalar: &Scalar, span: Span, from: usize, to: usize) -> Span {
    if scalar.verbatim && span.start + to <= span.end {
        return Span { start: span.start + from, end: span.start + to };
    }
    span
}
