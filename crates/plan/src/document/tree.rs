//! YAML (and so JSON) into a tree that remembers where everything stood.
//!
//! What it is: the events of a YAML 1.2 parser, put together. What it is not: a reader of meaning: scalars stay text,
//! whoever needs a number reads one, so that `on`, `no` and `1.10` are what they look like.
//!
//! Invariants: keys are texts and occur once in their mapping; depth and size are bounded, aliases counted as often as
//! they are used, so that no small file becomes a large tree; spans lie inside the text.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as Marks, Tag};

use super::problem::Problems;
use super::source::Span;
use crate::text::quoted;

/// Largest plan file, in bytes.
pub(crate) const LARGEST: usize = 4 << 20;
/// Deepest nesting.
const DEEPEST: usize = 64;
/// Most nodes of a plan, those behind aliases counted each time.
const MOST_NODES: usize = 200_000;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A text.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of how the text came about")]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it stood there without quotes, so that it may be a number, a truth value or nothing.
    pub(crate) plain: bool,
    /// Whether the text stands in the file exactly so, so that offsets in it are offsets in the file.
    pub(crate) verbatim: bool,
    /// The variables that were put in.
    pub(crate) variables: Vec<String>,
    /// Whether one of them could hold a secret.
    pub(crate) confidential: bool,
    /// Whether it could not be put together, which was told already.
    pub(crate) broken: bool,
}

impl Scalar {
    /// Whether it is YAML's null.
    pub(crate) fn is_null(&self) -> bool {
        self.plain
            && !self.broken
            && self.variables.is_empty()
            && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Node {
    /// How many nodes there are below it, itself included.
    fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(nodes) => 1 + nodes.iter().map(Self::count).sum::<usize>(),
            Value::Mapping(entries) => 1 + entries.iter().map(|(_, node)| node.count()).sum::<usize>(),
        }
    }

    /// How deep it is, itself included.
    fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(nodes) => 1 + nodes.iter().map(Self::depth).max().unwrap_or(0),
            Value::Mapping(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }
}

/// Reads the one document of `text`; `None` after a fault.
pub(crate) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > LARGEST {
        problems.add(
            Span::default(),
            "the plan has more than 4 MiB",
            "data belongs into files of its own (data:)",
        );
        return None;
    }
    let before = problems.count();
    let mut builder = Builder {
        offsets: Offsets::of(text),
        text,
        open: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        nodes: 0,
        problems,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let going = match next {
            Ok((event, marks)) => builder.take(event, marks),
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                let (what, fix) = syntax(error.info(), text, at);
                builder.problems.add(Span { start: at, end: at + 1 }, what, fix);
                None
            }
        };
        going?;
    }
    let root = builder.root.take();
    if root.is_none() && problems.count() == before {
        problems.add(
            Span::default(),
            "the plan is empty",
            "schema: openloop.plan/1, workloads and the rest: docs/plan-file.md",
        );
    }
    root
}

/// What the parser says, in words that help.
fn syntax(info: &str, text: &str, at: usize) -> (String, String) {
    let what = format!("this is not YAML: {info}");
    let line_start = text[..at.min(text.len())].rfind('\n').map_or(0, |start| start + 1);
    let indent = &text[line_start..];
    let indent = &indent[..indent.find(|character: char| !character.is_whitespace()).unwrap_or(0)];
    let fix = if indent.contains('\t') {
        "indent with spaces, never with tabs"
    } else if info.contains("mapping values are not allowed") {
        "quotation marks around a text with \": \" in it, a space behind the colon of every key, or check the indentation"
    } else if info.contains("unknown anchor") {
        "an anchor (&name) stands above its alias (*name); quotation marks around a text that begins with *"
    } else if info.contains("recursion") {
        "fewer lists and mappings within each other: at most 64 levels"
    } else if info.contains("unprintable") {
        "take the character out; in quotation marks \"\\x07\" writes one"
    } else if info.contains("expected ','") {
        "a comma or the closing bracket is missing, here or above; quotation marks around a text with [ ] { } , in it"
    } else if info.contains("unexpected end") || info.contains("EOF") || info.contains("unclosed") {
        "close the quotation mark or bracket that was opened"
    } else {
        "check indentation, brackets and quotation marks here and in the line above"
    };
    (what, fix.into())
}

/// From the parser's count of characters to bytes.
struct Offsets {
    /// Byte offset of each character, where they differ.
    table: Option<Vec<usize>>,
    end: usize,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let table = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Self { table, end: text.len() }
    }

    fn byte(&self, index: usize) -> usize {
        match &self.table {
            None => index.min(self.end),
            Some(table) => table.get(index).copied().unwrap_or(self.end),
        }
    }

    fn span(&self, marks: Marks) -> Span {
        let byte = |mark: Marker| self.byte(mark.index());
        let start = byte(marks.start);
        Span { start, end: byte(marks.end).max(start) }
    }
}

/// A collection that is not finished yet.
struct Open {
    span: Span,
    anchor: usize,
    part: Part,
}

enum Part {
    List(Vec<Node>),
    Mapping { entries: Vec<(Key, Node)>, names: BTreeSet<String>, key: Option<Key> },
}

struct Builder<'a> {
    text: &'a str,
    offsets: Offsets,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    /// Takes an event; `None` where reading on makes no sense.
    fn take(&mut self, event: Event<'_>, marks: Marks) -> Option<()> {
        let span = self.offsets.span(marks);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                self.problems.add(
                    span,
                    "a second document begins here",
                    "one plan to a file; take out the ---",
                );
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                let texted = self.tag(tag.as_deref(), span);
                let span = trimmed(self.text, span);
                let verbatim = self.text.get(span.start..span.end) == Some(&*text);
                let plain = style == ScalarStyle::Plain && !texted;
                let quotes = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
                let inner =
                    Span { start: span.start + 1, end: span.end.saturating_sub(1).max(span.start + 1) };
                let inside = quotes && self.text.get(inner.start..inner.end) == Some(&*text);
                let span = if inside && !text.is_empty() { inner } else { span };
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain,
                    verbatim: verbatim || inside,
                    variables: Vec::new(),
                    confidential: false,
                    broken: false,
                };
                self.finish(Node { span, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(span, anchor, tag.as_deref(), Part::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let part = Part::Mapping { entries: Vec::new(), names: BTreeSet::new(), key: None };
                self.begin(span, anchor, tag.as_deref(), part)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let value = match open.part {
                    Part::List(nodes) => Value::List(nodes),
                    Part::Mapping { entries, .. } => Value::Mapping(entries),
                };
                let span = Span { start: open.span.start, end: span.end.max(open.span.end) };
                self.finish(Node { span: trimmed(self.text, span), value }, open.anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    self.problems.add(
                        span,
                        "the alias refers to what it is itself a part of",
                        "write it out",
                    );
                    return None;
                };
                let (node, count) = (node.clone(), node.count());
                if self.open.len() + node.depth() > DEEPEST {
                    return self.too_deep(span);
                }
                self.counted(count, span)?;
                self.place(node)
            }
            _ => Some(()),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, tag: Option<&Tag>, part: Part) -> Option<()> {
        self.tag(tag, span);
        if self.open.len() + 1 >= DEEPEST {
            return self.too_deep(span);
        }
        if let Some(Open { part: Part::Mapping { key: None, .. }, .. }) = self.open.last() {
            self.problems.add(
                span,
                "a key is a text, not a list or a mapping",
                "quotation marks around {{ … }}; or check the indentation",
            );
            return None;
        }
        self.open.push(Open { span, anchor, part });
        Some(())
    }

    fn too_deep(&mut self, span: Span) -> Option<()> {
        self.problems.add(span, "the plan is nested too deeply", "at most 64 levels");
        None
    }

    fn counted(&mut self, count: usize, span: Span) -> Option<()> {
        self.nodes += count;
        if self.nodes > MOST_NODES {
            self.problems.add(
                span,
                "the plan has more than 200000 parts, aliases written out",
                "a smaller plan; data belongs into files of its own (data:)",
            );
            return None;
        }
        Some(())
    }

    /// A node is complete.
    fn finish(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.counted(1, node.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node)
    }

    /// Puts a node where it belongs.
    fn place(&mut self, node: Node) -> Option<()> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Some(());
        };
        match &mut open.part {
            Part::List(nodes) => nodes.push(node),
            Part::Mapping { entries, names, key } => {
                if let Some(key) = key.take() {
                    entries.push((key, node));
                } else {
                    let span = node.span;
                    let Value::Scalar(scalar) = node.value else {
                        self.problems.add(span, "a key is a text, not a list or a mapping", "write it out");
                        return None;
                    };
                    if scalar.plain && scalar.text == "<<" {
                        self.problems.add(
                            span,
                            "YAML 1.2 has no merge key <<",
                            "an alias for the whole mapping, or defaults:",
                        );
                        // What it would have brought would be missed in many places.
                        return None;
                    }
                    if !names.insert(scalar.text.clone()) {
                        let what =
                            format!("the key {} stands here a second time", crate::named(&scalar.text));
                        self.problems.add(span, what, "each key once");
                    }
                    *key = Some(Key { text: scalar.text, span });
                }
            }
        }
        Some(())
    }

    /// Judges a tag; yields whether it makes a text of what follows.
    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        let core = tag.is_yaml_core_schema();
        if core && tag.suffix == "str" || tag.handle.is_empty() && tag.suffix == "!" {
            return true;
        }
        if !(core && matches!(tag.suffix.as_str(), "map" | "seq")) {
            let what = format!("the tag {} means nothing in a plan", quoted(&tag.to_string()));
            self.problems.add(span, what, "leave it out");
        }
        false
    }
}

/// The span without the white space at its end.
fn trimmed(text: &str, span: Span) -> Span {
    let end = text.get(span.start..span.end).map_or(span.end, |part| span.start + part.trim_end().len());
    Span { start: span.start, end: end.max(span.start) }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn faults(text: &str) -> String {
        let mut problems = Problems::default();
        read(text, &mut problems);
        let source = super::super::source::Source { name: "p", text };
        if problems.is_empty() { String::new() } else { problems.into_error(&source).to_string() }
    }

    fn spans(text: &str) -> Vec<(String, &str)> {
        fn walk<'a>(node: &Node, text: &'a str, into: &mut Vec<(String, &'a str)>) {
            match &node.value {
                Value::Scalar(scalar) => {
                    into.push((scalar.text.clone(), &text[node.span.start..node.span.end]));
                }
                Value::List(nodes) => nodes.iter().for_each(|node| walk(node, text, into)),
                Value::Mapping(entries) => {
                    for (key, node) in entries {
                        into.push((key.text.clone(), &text[key.span.start..key.span.end]));
                        walk(node, text, into);
                    }
                }
            }
        }
        let mut found = Vec::new();
        let mut problems = Problems::default();
        let node = read(text, &mut problems).expect("a tree");
        assert!(problems.is_empty());
        walk(&node, text, &mut found);
        found
    }

    #[test]
    fn every_scalar_knows_where_it_stands() {
        let text = "größe: wörter  # comment\nlist:\n  - 'a'\n  - \"b\\n\"\n  - c: ''\nflow: {x: [1, no]}\n";
        let expected = [
            ("größe", "größe"),
            ("wörter", "wörter"),
            ("list", "list"),
            ("a", "a"),
            ("b\n", "\"b\\n\""),
            ("c", "c"),
            ("", "''"),
            ("flow", "flow"),
            ("x", "x"),
            ("1", "1"),
            ("no", "no"),
        ];
        let expected: Vec<(String, &str)> = expected.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect();
        assert_eq!(spans(text), expected);
    }

    #[test]
    fn json_is_yaml() {
        let text = "{\n\t\"a\": [1, \"x\\/\\u00e9\", true],\n\t\"b\":{\"c\":null}\n}";
        let texts: Vec<String> = spans(text).into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["a", "1", "x/é", "true", "b", "c", "null"]);
    }

    #[test]
    fn aliases_are_written_out_within_bounds() {
        let texts: Vec<String> = spans("a: &x {b: 1}\nc: *x").into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["a", "b", "1", "c", "b", "1"]);
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![below; 10].join(", "));
        }
        assert!(faults(&laughs).contains("more than 200000 parts"), "{}", faults(&laughs));
        assert!(faults("a: &a [*a]").contains("itself a part of"), "{}", faults("a: &a [*a]"));
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_place() {
        let deep = "[".repeat(100);
        for (text, message) in [
            ("", "p:1:1: the plan is empty"),
            ("# only a comment\n", "p:1:1: the plan is empty"),
            ("a: 1\na: 2\n", "p:2:1: the key \"a\" stands here a second time"),
            ("a: 1\n---\nb: 2\n", "p:2:1: a second document"),
            ("{a: 1}: 2", "p:1:1: a key is a text"),
            ("a:\n  <<: {b: 1}\n", "p:2:3: YAML 1.2 has no merge key"),
            (
                "a: *b\n",
                "p:1:4: this is not YAML: while parsing node, found unknown anchor → an anchor (&name) stands above",
            ),
            ("a: b\0c\n", "found unprintable character → take the character out"),
            ("a: {b: 1\nc: 2\n", "a comma or the closing bracket is missing"),
            ("a:1\nb: 2\n", "a space behind the colon of every key"),
            (&"[".repeat(10_000), "recursion limit exceeded → fewer lists"),
            ("a: !!python/object x\n", "p:1:4: the tag"),
            ("a: \"x\n", "this is not YAML"),
            ("a: [1, 2\n", "this is not YAML"),
            ("a: b: c\n", "p:1:5: this is not YAML"),
            ("a:\n\t- b\n", "never with tabs"),
            (&deep, "nested too deeply"),
        ] {
            let found = faults(text);
            assert!(found.contains(message), "{text}: {found}");
        }
    }
}
