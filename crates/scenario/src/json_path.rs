//! Paths into JSON documents: a subset of RFC 9535, with its names.
//!
//! Known: `$`, `.name`, `['name']`, `[n]`, `[-n]`, `[*]`, `.*`, `[a:b]`, and before each of these a second dot for any
//! depth (`..name`, `..[0]`, `..*`). Not known: filters, several selectors between brackets, steps of slices.

use crate::cursor::Cursor;
use crate::error::{Origin, ScenarioError, Shown};

/// Most segments of a path.
pub(crate) const SEGMENTS_MAX: usize = 32;

/// A path into a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    pub(crate) segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Whether it selects at any depth below the value, not only among its children.
    pub(crate) is_descendant: bool,
    pub(crate) selector: Selector,
}

/// Which children a segment selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The member of that name.
    Name(String),
    /// The element at an index; below zero counted from the end.
    Index(i64),
    /// Every member or element.
    Wildcard,
    /// The elements from the first index to before the second; below zero counted from the end.
    Slice(Option<i64>, Option<i64>),
}

impl Selector {
    /// Whether the length of the array must be known to answer it.
    pub(crate) fn counts_from_end(&self) -> bool {
        match self {
            Self::Index(index) => *index < 0,
            Self::Slice(from, to) => from.is_some_and(|from| from < 0) || to.is_some_and(|to| to < 0),
            Self::Name(_) | Self::Wildcard => false,
        }
    }

    /// Whether it selects the element at `index` of an array of `length` elements; the length matters only if
    /// [`Selector::counts_from_end`].
    pub(crate) fn selects(&self, index: i64, length: i64) -> bool {
        let place = |bound: i64| if bound < 0 { (length + bound).max(0) } else { bound };
        match self {
            Self::Name(_) => false,
            Self::Wildcard => true,
            Self::Index(wanted) => index == if *wanted < 0 { length + wanted } else { *wanted },
            Self::Slice(from, to) => {
                from.is_none_or(|from| index >= place(from)) && to.is_none_or(|to| index < place(to))
            }
        }
    }
}

impl JsonPath {
    /// Reads a path such as `$.items[0].id`.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        segments(text)
            .map(|segments| Self { text: text.to_owned(), segments })
            .map_err(|error| error.of(origin))
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn segments(text: &str) -> Result<Vec<Segment>, ScenarioError> {
    let mut cursor = Cursor::new(text);
    if !cursor.take("$") {
        let root = if text.starts_with(['.', '[']) { "$" } else { "$." };
        let shown: String = text.chars().take(30).collect();
        let what = format!("{} does not begin at the root $", Shown(text));
        return Err(ScenarioError::new(
            0,
            cursor.char_length(),
            what,
            format!("{root}{}", shown.escape_default()),
        ));
    }
    let mut segments = Vec::new();
    while !cursor.is_at_end() {
        let start = cursor.at;
        if segments.len() == SEGMENTS_MAX {
            let what = format!("the path has more than {SEGMENTS_MAX} parts");
            return Err(ScenarioError::new(start, text.len() - start, what, "a shorter one, e.g. with .."));
        }
        let is_descendant = cursor.take("..");
        let dotted = is_descendant || cursor.take(".");
        let selector = if cursor.peek() == Some(b'[') && (is_descendant || !dotted) {
            bracketed(&mut cursor)?
        } else if dotted && cursor.take("*") {
            Selector::Wildcard
        } else if dotted {
            Selector::Name(shorthand(&mut cursor)?)
        } else {
            let what = format!("{} cannot follow here", Shown(&text[start..start + cursor.char_length()]));
            return Err(ScenarioError::new(
                start,
                cursor.char_length(),
                what,
                ".name, [0], [*] or ['a name']",
            ));
        };
        segments.push(Segment { is_descendant, selector });
    }
    Ok(segments)
}

/// A name after a dot: RFC 9535 §2.5.1.1, and `-` within it, which occurs in practice.
fn shorthand(cursor: &mut Cursor<'_>) -> Result<String, ScenarioError> {
    let rest = cursor.rest();
    let is_part = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '_' | '-') || !character.is_ascii()
    };
    let length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    if length == 0 {
        let fix = "e.g. $.items; a name with other characters: $['a name']";
        return Err(ScenarioError::new(
            cursor.at,
            cursor.char_length(),
            "there is no name after the dot",
            fix,
        ));
    }
    cursor.at += length;
    Ok(rest[..length].to_owned())
}

fn bracketed(cursor: &mut Cursor<'_>) -> Result<Selector, ScenarioError> {
    let start = cursor.at;
    cursor.at += 1;
    cursor.skip_space();
    let selector = match cursor.peek() {
        Some(b'"' | b'\'') => Selector::Name(cursor.take_quoted()?),
        Some(b'*') => {
            cursor.at += 1;
            Selector::Wildcard
        }
        Some(b'?') => {
            let what = "filters are not known";
            return Err(ScenarioError::new(
                cursor.at,
                1,
                what,
                "an index, [*] or .. and a name; `count` counts",
            ));
        }
        _ => indexed(cursor)?,
    };
    cursor.skip_space();
    if cursor.take("]") {
        return Ok(selector);
    }
    if cursor.is_at_end() {
        return Err(ScenarioError::new(start, 1, "the bracket is not closed", "close it with ]"));
    }
    let what = "a bracket holds one selector";
    Err(ScenarioError::new(cursor.at, cursor.char_length(), what, "e.g. [0], [*], [1:3] or ['name']"))
}

fn indexed(cursor: &mut Cursor<'_>) -> Result<Selector, ScenarioError> {
    let start = cursor.at;
    let first = integer(cursor)?;
    cursor.skip_space();
    if cursor.take(":") {
        cursor.skip_space();
        return Ok(Selector::Slice(first, integer(cursor)?));
    }
    first.map(Selector::Index).ok_or_else(|| {
        let length = cursor.char_length();
        let fix = "e.g. [0], [-1], [*], [1:3], or with quotation marks: ['name']";
        ScenarioError::new(start, length, "there is no index between the brackets", fix)
    })
}

fn integer(cursor: &mut Cursor<'_>) -> Result<Option<i64>, ScenarioError> {
    let start = cursor.at;
    cursor.take("-");
    cursor.take_while(|byte| byte.is_ascii_digit());
    let text = &cursor.text[start..cursor.at];
    if text.is_empty() {
        return Ok(None);
    }
    // RFC 9535 §2.1: indices stay within the integers that every JSON parser keeps exact.
    let within = |index: &i64| index.unsigned_abs() < 1 << 53;
    text.parse().ok().filter(within).map(Some).ok_or_else(|| {
        ScenarioError::new(start, text.len(), format!("{} is not an index", Shown(text)), "e.g. [0] or [-1]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_paths() {
        let name = |name: &str| Selector::Name(name.into());
        for (text, expected) in [
            ("$", vec![]),
            ("$.a.b-c", vec![(false, name("a")), (false, name("b-c"))]),
            ("$['a b'][\"c'\"]", vec![(false, name("a b")), (false, name("c'"))]),
            ("$[0][ -1 ]", vec![(false, Selector::Index(0)), (false, Selector::Index(-1))]),
            ("$.*[*]", vec![(false, Selector::Wildcard), (false, Selector::Wildcard)]),
            ("$..a..[0]..*", vec![(true, name("a")), (true, Selector::Index(0)), (true, Selector::Wildcard)]),
            ("$[1:3]", vec![(false, Selector::Slice(Some(1), Some(3)))]),
            ("$[:-1]", vec![(false, Selector::Slice(None, Some(-1)))]),
            ("$[:]", vec![(false, Selector::Slice(None, None))]),
            ("$.größe", vec![(false, name("größe"))]),
        ] {
            let path = JsonPath::parse(text, Origin(0)).expect(text);
            let segments: Vec<_> = path
                .segments
                .iter()
                .map(|segment| (segment.is_descendant, segment.selector.clone()))
                .collect();
            assert_eq!(segments, expected, "{text}");
        }
    }

    #[test]
    fn wrong_paths_say_where_what_and_how_to_fix() {
        for (text, offset, length, fragment) in [
            ("", 0, 0, "does not begin at the root $"),
            ("items[0]", 0, 1, "→ $.items[0]"),
            (".a", 0, 1, "→ $.a"),
            ("$a", 1, 1, "\"a\" cannot follow here"),
            ("$.", 2, 0, "no name after the dot"),
            ("$.a b", 3, 1, "\" \" cannot follow here"),
            ("$.[0]", 2, 1, "no name after the dot"),
            ("$[", 2, 0, "no index between the brackets"),
            ("$[0", 1, 1, "the bracket is not closed"),
            ("$[a]", 2, 1, "['name']"),
            ("$[0,1]", 3, 1, "a bracket holds one selector"),
            ("$[?(@.a)]", 2, 1, "filters are not known"),
            ("$['a]", 2, 1, "the quotation mark is not closed"),
            ("$[99999999999999999999]", 2, 20, "is not an index"),
            ("$[-]", 2, 1, "is not an index"),
            ("$[0:2:1]", 5, 1, "a bracket holds one selector"),
        ] {
            let error = JsonPath::parse(text, Origin(4)).expect_err(text);
            assert!(error.to_string().contains(fragment), "{text}: {error}");
            assert_eq!(
                (error.offset, error.length, error.origin),
                (offset, length, Origin(4)),
                "{text}: {error}"
            );
        }
        assert!(JsonPath::parse(&format!("${}", ".a".repeat(33)), Origin(0)).is_err());
    }

    #[test]
    fn selectors_count_from_the_end() {
        for (selector, length, selected) in [
            (Selector::Index(-1), 3, vec![2]),
            (Selector::Index(-4), 3, vec![]),
            (Selector::Slice(Some(-2), None), 3, vec![1, 2]),
            (Selector::Slice(Some(-9), Some(-1)), 3, vec![0, 1]),
            (Selector::Slice(Some(2), Some(1)), 3, vec![]),
        ] {
            assert!(selector.counts_from_end() || length == 3);
            assert_eq!(
                (0..length).filter(|&index| selector.selects(index, length)).collect::<Vec<_>>(),
                selected
            );
        }
    }
}
