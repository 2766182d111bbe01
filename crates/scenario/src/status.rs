//! Sets of response statuses.

use crate::cursor::Cursor;
use crate::error::{Origin, ScenarioError, Shown};

/// The least and the greatest status that three digits can say. RFC 9110 §15 gives a meaning to those up to 599; servers
/// send the others, too.
const STATUSES: (u16, u16) = (100, 999);

/// A set of statuses: inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Reads `none`, or parts separated by commas: `200`, `2xx`, `200-299`, `>=400`, `<400`.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        if text.trim() == "none" {
            return Ok(Self::default());
        }
        let mut cursor = Cursor::new(text);
        let mut ranges = Vec::new();
        loop {
            cursor.skip_space();
            ranges.push(part(&mut cursor).map_err(|error| error.of(origin))?);
            cursor.skip_space();
            if cursor.is_at_end() {
                ranges.sort_unstable();
                return Ok(Self(ranges));
            }
            if !cursor.take(",") {
                let what = format!("{} does not belong here", Shown(cursor.rest()));
                let error =
                    ScenarioError::new(cursor.at, cursor.rest().len(), what, "a comma between two statuses");
                return Err(error.of(origin));
            }
        }
    }

    /// Client and server errors: 400 to 599.
    #[must_use]
    pub fn errors() -> Self {
        Self(vec![(400, 599)])
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }

    /// Whether it holds no status.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn part(cursor: &mut Cursor<'_>) -> Result<(u16, u16), ScenarioError> {
    let (least, most) = STATUSES;
    if cursor.take(">=") {
        return Ok((status(cursor)?, most));
    }
    if cursor.take("<=") {
        return Ok((least, status(cursor)?));
    }
    if cursor.take(">") {
        return Ok((status(cursor)? + 1, most));
    }
    if cursor.take("<") {
        return Ok((least, status(cursor)? - 1));
    }
    let start = cursor.at;
    if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X', ..] = cursor.rest().as_bytes() {
        cursor.at += 3;
        let first = u16::from(class - b'0') * 100;
        return Ok((first, first + 99));
    }
    let first = status(cursor)?;
    cursor.skip_space();
    if !cursor.take("-") {
        return Ok((first, first));
    }
    cursor.skip_space();
    let end = status(cursor)?;
    if first > end {
        let length = cursor.at - start;
        return Err(ScenarioError::new(
            start,
            length,
            "the range ends before it begins",
            format!("{end}-{first}"),
        ));
    }
    Ok((first, end))
}

fn status(cursor: &mut Cursor<'_>) -> Result<u16, ScenarioError> {
    cursor.skip_space();
    let start = cursor.at;
    let text = cursor.take_while(|byte| byte.is_ascii_alphanumeric());
    let value = text.parse::<u16>().ok().filter(|value| (STATUSES.0..=STATUSES.1).contains(value));
    value.filter(|_| text.len() == 3).ok_or_else(|| {
        let length = if text.is_empty() { cursor.char_length() } else { text.len() };
        let shown = Shown(if text.is_empty() { cursor.rest() } else { text });
        let fix = "100 to 999: e.g. 200, 2xx, 200-299, 200,201, >=400, or none";
        ScenarioError::new(start, length, format!("{shown} is not a status"), fix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_sets() {
        for (text, inside, outside) in [
            ("200", &[200][..], &[199, 201][..]),
            ("2xx, 304", &[200, 299, 304], &[300, 303]),
            ("200 - 204,500", &[200, 204, 500], &[205, 499]),
            (">=400", &[400, 599, 999], &[399]),
            ("<400", &[100, 399], &[400]),
            (">499", &[500], &[499]),
            ("<= 201", &[201], &[202]),
            ("none", &[], &[200, 500]),
        ] {
            let set = StatusSet::parse(text, Origin(0)).expect(text);
            assert!(inside.iter().all(|&status| set.contains(status)), "{text}");
            assert!(!outside.iter().any(|&status| set.contains(status)), "{text}");
            assert_eq!(set.is_empty(), inside.is_empty());
        }
    }

    #[test]
    fn wrong_sets_say_where_what_and_how_to_fix() {
        for (text, offset, length, fragment) in [
            ("", 0, 0, "\"\" is not a status"),
            ("20", 0, 2, "\"20\" is not a status → 100 to 999"),
            ("0xx", 0, 3, "is not a status"),
            ("200,", 4, 0, "is not a status"),
            ("200 201", 4, 3, "a comma between two statuses"),
            ("299-200", 0, 7, "→ 200-299"),
            (">=x", 2, 1, "is not a status"),
            ("0200", 0, 4, "is not a status"),
            ("ok", 0, 2, "is not a status"),
        ] {
            let error = StatusSet::parse(text, Origin(2)).expect_err(text);
            assert!(error.to_string().contains(fragment), "{text}: {error}");
            assert_eq!(
                (error.offset, error.length, error.origin),
                (offset, length, Origin(2)),
                "{text}: {error}"
            );
        }
    }
}
