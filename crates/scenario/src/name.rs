//! Names that people choose, and the name they probably meant when they misspelt one.

/// Longest name of a variable, in bytes.
pub(crate) const NAME_MAX: usize = 64;

/// Whether a name may begin with this byte.
pub(crate) const fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a name may go on with this byte.
pub(crate) const fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'-'
}

/// Whether `text` may be the name of a variable, constant, secret or feeder: a letter or `_`, then letters, digits, `_`
/// and `-`; at most 64 bytes.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX && text.bytes().next().is_some_and(starts_name) && text.bytes().all(continues_name)
}

/// Whether the byte may stand in a token (RFC 9110 §5.6.2): methods and the names of header fields and cookies.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// Whether `text` is a token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The candidate that `word` is most likely a misspelling of; `None` when none is near.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, removed or swapped with their neighbour; case counts nothing.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<u8> = left.bytes().take(2 * NAME_MAX).map(|byte| byte.to_ascii_lowercase()).collect();
    let right: Vec<u8> = right.bytes().take(2 * NAME_MAX).map(|byte| byte.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &letter) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &other) in right.iter().enumerate() {
            let change = above[column] + usize::from(letter != other);
            let mut least = change.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && letter == right[column - 1] && left[row - 1] == other {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
}

/// How to fix a misspelt name: the nearest one, or the list of what there is.
pub(crate) fn fix_for<'a>(word: &str, candidates: &[&'a str], none: &'a str) -> String {
    if let Some(candidate) = closest(word, candidates.iter().copied()) {
        return format!("did you mean {candidate}?");
    }
    if candidates.is_empty() {
        return none.to_owned();
    }
    let mut list = candidates[..candidates.len().min(12)].join(", ");
    if candidates.len() > 12 {
        list.push_str(", …");
    }
    format!("one of {list}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "_", "user-id", "x9", "Ab_c"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "9x", "-a", "a.b", "a b", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn misspellings() {
        for (word, meant) in [
            ("tokne", Some("token")),
            ("Token", Some("token")),
            ("rnadom", Some("random")),
            ("user", Some("users")),
            ("zebra", None),
            ("x", None),
        ] {
            assert_eq!(closest(word, ["token", "random", "users", "y"]), meant, "{word}");
        }
        assert_eq!(fix_for("zebra", &["a1b2c3", "b"], "none"), "one of a1b2c3, b");
        assert_eq!(fix_for("zebra", &[], "set it first"), "set it first");
    }
}
