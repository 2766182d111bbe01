//! Colour, glyphs, widths, and the taming of foreign text.

/// How text may look.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours may be used.
    pub colour: bool,
    /// Whether characters beyond ASCII may be used.
    pub utf8: bool,
}

/// A colour with a meaning; never the only bearer of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tint {
    Good,
    Bad,
    Doubtful,
}

impl Style {
    /// `text` in colour, if there may be colour.
    pub(crate) fn tint(self, tint: Tint, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Good => 32,
            Tint::Bad => 31,
            Tint::Doubtful => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// One of two spellings.
    pub(crate) fn pick<'a>(self, utf8: &'a str, ascii: &'a str) -> &'a str {
        if self.utf8 { utf8 } else { ascii }
    }

    /// The mark of something that holds or does not.
    pub(crate) fn mark(self, holds: bool) -> &'static str {
        match (holds, self.utf8) {
            (true, true) => "✓",
            (false, true) => "✗",
            (true, false) => "ok",
            (false, false) => "NO",
        }
    }

    /// Foreign text, safe to print: one line, no control characters, ASCII where it has to be.
    pub(crate) fn foreign(self, text: &str) -> String {
        let clean = sanitized(text);
        if self.utf8 {
            return clean;
        }
        clean.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect()
    }

    /// `text` broken at spaces into lines of at most `columns`; a word that is longer is cut.
    pub(crate) fn wrapped(self, text: &str, columns: usize) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let last = lines.last_mut().expect("there is always a line");
            if last.is_empty() {
                last.push_str(&self.fitted(word, columns));
            } else if width(last) + 1 + width(word) <= columns {
                last.push(' ');
                last.push_str(word);
            } else {
                lines.push(self.fitted(word, columns));
            }
        }
        lines
    }

    /// `text` cut to `columns`, with an ellipsis where it was cut.
    pub(crate) fn fitted(self, text: &str, columns: usize) -> String {
        if width(text) <= columns {
            return text.to_owned();
        }
        let ellipsis = self.pick("…", "...");
        let room = columns.saturating_sub(width(ellipsis));
        let mut used = 0;
        let mut cut: String = text
            .chars()
            .take_while(|character| {
                used += char_width(*character);
                used <= room
            })
            .collect();
        cut.push_str(ellipsis);
        cut
    }
}

/// `text` without control characters, C1 included, and without the marks that reorder or hide text.
pub fn sanitized(text: &str) -> String {
    let is_hostile = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(|character| !is_hostile(*character)).collect()
}

/// Columns that `text` takes, wide characters counted as two. It has no colour yet.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// East Asian and emoji ranges are wide; combining marks count as one, which errs on the safe side.
fn char_width(character: char) -> usize {
    let is_wide = matches!(
        u32::from(character),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60
            | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x2_0000..=0x3_fffd
    );
    if is_wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_reordering_marks_are_stripped() {
        let rows = [
            ("plain text", "plain text"),
            ("a\x1b[31mred\x1b[0m", "a[31mred[0m"),
            ("a\r\nb\tc\0d\x7fe", "abcde"),
            ("c1\u{9b}31m", "c131m"),
            ("left\u{202e}thgir\u{2066}x\u{200b}y\u{feff}", "leftthgirxy"),
            ("größe 値", "größe 値"),
        ];
        for (text, expected) in rows {
            assert_eq!(sanitized(text), expected);
        }
        assert_eq!(Style::default().foreign("gr\u{f6}\u{1b}sse"), "gr?sse");
    }

    #[test]
    fn text_is_cut_to_its_columns() {
        let utf8 = Style { utf8: true, colour: false };
        assert_eq!(utf8.fitted("12345", 5), "12345");
        assert_eq!(utf8.fitted("123456", 5), "1234…");
        assert_eq!(Style::default().fitted("123456", 5), "12...");
        assert_eq!(width(&utf8.fitted("値値値値", 6)), 5);
        assert_eq!(utf8.wrapped("one two  three fourfivesix", 7), ["one two", "three", "fourfi…"]);
        assert_eq!(utf8.wrapped("", 7), [""]);
    }

    #[test]
    fn colour_appears_only_where_allowed() {
        assert_eq!(Style::default().tint(Tint::Bad, "x"), "x");
        assert_eq!(Style { colour: true, utf8: false }.tint(Tint::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
