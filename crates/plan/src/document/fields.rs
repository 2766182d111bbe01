//! Reading typed values out of the tree: mappings with known keys, and scalars through the parsers that flags use.
//!
//! What it is: what all readers of parts share. Invariant: `None` means that a fault was told, or that nothing was
//! written; a reader that has to tell them apart asks the mapping first.

use super::problem::Problems;
use super::source::Span;
use super::suggest::{nearest, place_of};
use super::tree::{Key, Node, Scalar, Value};
use crate::PlanError;
use crate::text::quoted;

/// A mapping with known keys.
#[derive(Copy, Clone)]
pub(crate) struct Fields<'a> {
    /// What it describes, with its article.
    pub(crate) what: &'static str,
    pub(crate) span: Span,
    entries: &'a [(Key, Node)],
    /// Whether a key is not known: what is missing was then probably meant by it, and is not told.
    misspelt: bool,
}

impl<'a> Fields<'a> {
    /// Reads a mapping and tells every key that is not known.
    pub(crate) fn of(
        node: &'a Node,
        what: &'static str,
        known: &[&str],
        problems: &mut Problems,
    ) -> Option<Self> {
        let entries = mapping(node, what, problems)?;
        let mut misspelt = false;
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) && key.text != "<<" {
                misspelt = true;
                let told = format!("{what} has no key {}", crate::named(&key.text));
                let misplaced = nearest(&key.text, known.iter().copied()).is_none();
                match misplaced.then(|| place_of(what, &key.text)).flatten() {
                    Some(fix) => problems.add(key.span, told, fix),
                    None => problems.unknown(key.span, told, &key.text, known.iter().copied()),
                }
            }
        }
        // Where the mapping stands, its first key is shown rather than the whole of it.
        let span = entries.first().map_or(node.span, |(key, _)| key.span);
        Some(Self { what, span, entries, misspelt })
    }

    /// The value of a key.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// The key itself.
    pub(crate) fn key(&self, name: &str) -> Option<&'a Key> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key)
    }

    /// Where a key stands, or the mapping where it does not.
    pub(crate) fn at(&self, name: &str) -> Span {
        self.key(name).map_or(self.span, |key| key.span)
    }

    /// The names of the entries of a key's mapping, whatever they hold.
    pub(crate) fn names_of(&self, name: &str) -> Vec<String> {
        match self.get(name).map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries.iter().map(|(key, _)| key.text.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn need(&self, name: &str, fix: &str, problems: &mut Problems) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            self.missing(self.span, format!("{} needs {name}", self.what), fix, problems);
        }
        node
    }

    /// Something is not there that should be.
    pub(crate) fn missing(
        &self,
        span: Span,
        what: impl Into<String>,
        fix: impl Into<String>,
        problems: &mut Problems,
    ) {
        if !self.misspelt {
            problems.add(span, what, fix);
        }
    }

    /// The value of a key, through a parser.
    pub(crate) fn parse<T>(
        &self,
        name: &str,
        problems: &mut Problems,
        parser: impl FnOnce(&str) -> Result<T, PlanError>,
    ) -> Option<T> {
        self.get(name).and_then(|node| parsed(node, problems, parser))
    }

    /// A truth value; `false` where nothing is written.
    pub(crate) fn switch(&self, name: &str, problems: &mut Problems) -> bool {
        self.parse(name, problems, truth).unwrap_or(false)
    }

    /// Which of `names` are there; more than one of them is told as a fault.
    pub(crate) fn one_of(
        &self,
        names: &[&'static str],
        fix: &str,
        problems: &mut Problems,
    ) -> Option<(&'static str, &'a Node)> {
        let given = self.entries.iter().filter_map(|(key, node)| {
            names.iter().find(|name| **name == key.text).map(|name| (*name, key, node))
        });
        let given: Vec<_> = given.collect();
        if let [(first, ..), (second, key, _), ..] = given[..] {
            problems.add(key.span, format!("{first} and {second} do not go together in {}", self.what), fix);
        }
        given.first().map(|(name, _, node)| (*name, *node))
    }
}

/// The entries of a mapping.
pub(crate) fn mapping<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a [(Key, Node)]> {
    match &node.value {
        Value::Mapping(entries) => return Some(entries),
        Value::Scalar(scalar) if scalar.is_null() => {
            problems.add(node.span, format!("{what} is empty"), "keys and values, indented; or leave it out");
        }
        Value::Scalar(scalar) if scalar.broken => {}
        Value::Scalar(_) | Value::List(_) => {
            problems.add(
                node.span,
                format!("{what} is {}", kind(node)),
                "a mapping: keys and values, e.g. {key: value}",
            );
        }
    }
    None
}

/// The items of a list.
pub(crate) fn list<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(nodes) => return Some(nodes),
        Value::Scalar(scalar) if scalar.is_null() => {
            problems.add(node.span, format!("{what} is empty"), "items, each behind a dash; or leave it out");
        }
        Value::Scalar(scalar) if scalar.broken => {}
        Value::Scalar(_) | Value::Mapping(_) => {
            problems.add(
                node.span,
                format!("{what} is {}", kind(node)),
                "a list: items, each behind a dash, or [a, b]",
            );
        }
    }
    None
}

/// A text or a list of texts.
pub(crate) fn one_or_more(node: &Node) -> impl Iterator<Item = &Node> {
    let nodes: &[Node] = match &node.value {
        Value::List(nodes) => nodes,
        Value::Scalar(_) | Value::Mapping(_) => std::slice::from_ref(node),
    };
    nodes.iter()
}

/// A text.
pub(crate) fn scalar<'a>(node: &'a Node, problems: &mut Problems) -> Option<&'a Scalar> {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => {
            problems.add(
                node.span,
                "there is no value here",
                "a value, \"\" for an empty text, or leave the key out",
            );
            None
        }
        Value::Scalar(scalar) => Some(scalar).filter(|scalar| !scalar.broken),
        Value::List(_) | Value::Mapping(_) => {
            problems.add(
                node.span,
                format!("here stands {}, where a single value belongs", kind(node)),
                "one value",
            );
            None
        }
    }
}

/// A text through a parser.
pub(crate) fn parsed<T>(
    node: &Node,
    problems: &mut Problems,
    parser: impl FnOnce(&str) -> Result<T, PlanError>,
) -> Option<T> {
    let scalar = scalar(node, problems)?;
    match parser(&scalar.text) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.refuse(scalar, node.span, error);
            None
        }
    }
}

/// Reads YAML 1.2's truth values.
pub(crate) fn truth(text: &str) -> Result<bool, PlanError> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        "yes" | "on" | "y" | "1" => {
            Err(PlanError::new(format!("{} is a text in YAML 1.2", quoted(text)), "true"))
        }
        "no" | "off" | "n" | "0" => {
            Err(PlanError::new(format!("{} is a text in YAML 1.2", quoted(text)), "false"))
        }
        _ => Err(PlanError::new(format!("{} is neither true nor false", quoted(text)), "true or false")),
    }
}

/// Reads a whole number from `least` on.
pub(crate) fn whole(least: u64) -> impl FnOnce(&str) -> Result<u64, PlanError> {
    move |text| {
        let count = crate::parse_count(text, "it", "10")
            .map_err(|_| PlanError::new(format!("{} is not a whole number", quoted(text)), "e.g. 10, 10k"))?;
        if count < least {
            return Err(PlanError::new(format!("{count} is too little"), format!("at least {least}")));
        }
        Ok(count)
    }
}

/// Reads a name that other parts of the plan refer to.
pub(crate) fn name(text: &str) -> Result<(), PlanError> {
    let good = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let begins = text.starts_with(|character: char| character.is_ascii_alphabetic() || character == '_');
    if begins && text.len() <= 64 && text.chars().all(good) {
        return Ok(());
    }
    Err(PlanError::new(
        format!("{} is no name", quoted(text)),
        "letters, digits, _ and -, beginning with a letter, at most 64",
    ))
}

/// The entries of a mapping whose keys are names that the user chose.
pub(crate) fn named<'a>(
    node: &'a Node,
    what: &str,
    problems: &mut Problems,
) -> Option<Vec<(&'a Key, &'a Node)>> {
    let entries = mapping(node, what, problems)?;
    if entries.is_empty() {
        problems.add(node.span, format!("{what} is empty"), "at least one, or leave it out");
    }
    for (key, _) in entries {
        if let Err(error) = name(&key.text) {
            problems.push(key.span, error);
        }
    }
    Some(entries.iter().map(|(key, node)| (key, node)).collect())
}

/// What kind of thing a node is, in words.
pub(crate) fn kind(node: &Node) -> &'static str {
    match &node.value {
        Value::Scalar(_) => "a single value",
        Value::List(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}
