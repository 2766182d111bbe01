//! The text of a plan file, and places in it.
//!
//! What it is: spans, lines and columns, and the excerpt that a message shows, with what could be a secret masked.
//! What it is not: a parser. Invariant: every place lies inside the text; an excerpt holds no control character.
//! Units: spans count bytes, lines and columns count from 1, columns count characters.

use std::fmt::Write as _;

/// Where something stands in a plan file: bytes from `start` up to `end`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The text of a plan file and its name.
#[derive(Clone)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

/// A line of the file as a message shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The line itself, tamed and cut to what fits.
    text: String,
    /// Where the marks begin, and how many there are.
    marks: (usize, usize),
}

/// Most characters of a line that are shown.
const SHOWN: usize = 100;
/// Words that make the value behind them a secret, in lower case.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "bearer",
    "basic",
    "authorization",
    "cookie",
    "apikey",
    "api-key",
    "api_key",
    "secret-key",
    "access-key",
    "credential",
];

impl Source<'_> {
    /// The line that `span` begins on, as a message shows it; `hidden` masks what the span covers.
    pub(crate) fn excerpt(&self, span: Span, hidden: bool) -> Excerpt {
        let start = floor(self.text, span.start);
        let end = floor(self.text, span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let from = self.text[line_start..start].chars().count();
        let marked = self.text[start..end.min(line_end)].trim_end().chars().count().max(1);
        let mut characters: Vec<char> = masked(line).chars().map(tame).collect();
        if hidden {
            characters.iter_mut().skip(from).take(marked).for_each(|character| *character = '*');
        }
        let cut = from.saturating_sub(SHOWN / 2);
        let cut = if characters.len() > SHOWN { cut } else { 0 };
        let mut text: String = characters.iter().skip(cut).take(SHOWN).collect();
        if characters.len() > cut + SHOWN {
            text.push('…');
        }
        let ellipsis = usize::from(cut > 0);
        if cut > 0 {
            text.insert(0, '…');
        }
        let room = (SHOWN + 1).saturating_sub(from - cut).max(1);
        Excerpt {
            line: self.text[..line_start].matches('\n').count() + 1,
            column: from + 1,
            text: text.trim_end().to_owned(),
            marks: (from - cut + ellipsis, marked.min(room)),
        }
    }
}

impl Excerpt {
    /// Draws the line with marks below what is meant.
    pub(crate) fn draw(&self, into: &mut String) {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (from, count) = self.marks;
        let _ = write!(
            into,
            "{margin} |\n{number} | {}\n{margin} | {}{}",
            self.text,
            " ".repeat(from),
            "^".repeat(count)
        );
    }
}

/// The nearest boundary of a character at or before `at`, inside the text.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A character that is fit for a terminal.
fn tame(character: char) -> char {
    let invisible = matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    match character {
        '\t' => ' ',
        _ if invisible || character.is_control() => '\u{fffd}',
        _ => character,
    }
}

/// `line` with as many characters, but with a star for each one that could belong to a secret: what stands behind
/// a key that sounds secret, and the user and password of a URL. Names of variables and of files stay.
fn masked(line: &str) -> String {
    let mut characters: Vec<char> = line.chars().collect();
    let lower: Vec<char> = characters.iter().map(char::to_ascii_lowercase).collect();
    for key in SECRET_KEYS {
        let key: Vec<char> = key.chars().collect();
        for at in 0..lower.len() {
            if lower[at..].starts_with(&key) {
                mask_value(&mut characters, at + key.len());
            }
        }
    }
    for at in 0..lower.len() {
        if lower[at..].starts_with(&[':', '/', '/']) {
            let end = (at + 3..lower.len()).find(|&end| matches!(lower[end], '/' | ' ' | '"' | '\''));
            let end = end.unwrap_or(lower.len());
            if let Some(sign) = (at + 3..end).rev().find(|&index| lower[index] == '@') {
                characters[at + 3..sign].fill('*');
            }
        }
    }
    characters.into_iter().collect()
}

/// Masks the value after a key that ends at `from`, if a value follows: `key: value`, `"key": "value"`, `key=value`,
/// `Key value`.
fn mask_value(characters: &mut [char], from: usize) {
    let mut at = from;
    // The rest of the key's own word: `passwords`, `token-url`.
    while characters.get(at).is_some_and(|character| character.is_alphanumeric() || "-_".contains(*character))
    {
        at += 1;
    }
    let separators = |character: &char| "\"':= ".contains(*character);
    let value = at + characters[at..].iter().take_while(|character| separators(character)).count();
    if value == at {
        return;
    }
    match characters.get(value) {
        // A mapping or a list: its own keys decide. A substitution or a template: its name is no secret.
        None | Some('{' | '[' | '$' | '#' | '|' | '>') => return,
        Some(_) => {}
    }
    let quote = characters[value - 1];
    for character in &mut characters[value..] {
        let ends =
            if quote == '"' || quote == '\'' { *character == quote } else { ",}]".contains(*character) };
        if ends {
            break;
        }
        *character = '*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_show_the_line_and_what_is_meant() {
        let source = Source { name: "p", text: "one: 1\ntwo:\tzwö\r\nthree" };
        let drawn = |start, end| {
            let excerpt = source.excerpt(Span { start, end }, false);
            let mut text = String::new();
            excerpt.draw(&mut text);
            (excerpt.line, excerpt.column, text)
        };
        assert_eq!(drawn(5, 6), (1, 6, "  |\n1 | one: 1\n  |      ^".into()));
        assert_eq!(drawn(12, 16), (2, 6, "  |\n2 | two: zwö\n  |      ^^^".into()));
        assert_eq!(drawn(12, 20), (2, 6, "  |\n2 | two: zwö\n  |      ^^^".into()), "only the first line");
        assert_eq!(drawn(400, 500).0, 3, "behind the end");
        assert_eq!(drawn(15, 16).1, 8, "inside a character");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}X{}", "a".repeat(300), "b".repeat(300));
        let source = Source { name: "p", text: &text };
        let mut drawn = String::new();
        source.excerpt(Span { start: 300, end: 301 }, false).draw(&mut drawn);
        let lines: Vec<&str> = drawn.lines().collect();
        let place = lines[2].chars().position(|character| character == '^').expect("a mark");
        assert_eq!(lines[1].chars().nth(place), Some('X'));
        assert!(lines[1].chars().count() < 120);
    }

    #[test]
    fn secrets_are_masked_and_names_are_not() {
        for (line, shown) in [
            ("password: hunter2", "password: *******"),
            ("  basic: {user: me, password: \"hun, ter2\"}", "  basic: {user: me, password: \"*********\"}"),
            ("Authorization: Bearer abc", "Authorization: **********"),
            ("{\"token\": \"abc\", \"b\": 1}", "{\"token\": \"***\", \"b\": 1}"),
            ("password: {env: SHOP}", "password: {env: SHOP}"),
            ("password: ${SHOP}", "password: ${SHOP}"),
            ("bearer: \"{{secret.x}}\"", "bearer: \"{{secret.x}}\""),
            ("url: http://me:pw@host/", "url: http://*****@host/"),
            ("timeout: 10s", "timeout: 10s"),
        ] {
            assert_eq!(masked(line), shown);
        }
        let source = Source { name: "p", text: "pin: 1234 # x" };
        let mut drawn = String::new();
        source.excerpt(Span { start: 5, end: 9 }, true).draw(&mut drawn);
        assert!(drawn.contains("pin: **** # x"), "{drawn}");
    }
}
