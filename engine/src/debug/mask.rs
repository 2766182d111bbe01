//! What must never be shown, taken out of what is.
//!
//! What it is: the plan's secrets in the ways in which requests write them, and the header fields that carry credentials.
//! What it is not: a judge of what else may be confidential; bodies are shown.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands where something was taken out.
pub(super) const HIDDEN: &str = "***";
/// Header fields whose values are credentials.
const CREDENTIALS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token", "x-api-key"];
/// A cookie's value is taken out everywhere if it has so many bytes; shorter ones would take out what they are not.
const COOKIE_BYTES_MIN: usize = 4;

/// What is taken out.
#[derive(Default)]
pub(super) struct Mask {
    /// The longest first, so that none hides only part of another.
    texts: Vec<Vec<u8>>,
}

impl Mask {
    /// Takes a secret out from now on, however a request writes it.
    pub(super) fn add(&mut self, secret: &str) {
        let json = serde_json::to_string(secret).unwrap_or_default();
        let forms = [
            secret.to_owned(),
            percent(secret, "%20", true),
            percent(secret, "+", true),
            percent(secret, "%20", false),
            json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned(),
            STANDARD.encode(secret),
        ];
        self.texts.extend(forms.into_iter().map(String::into_bytes).filter(|form| !form.is_empty()));
        self.texts.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        self.texts.dedup();
    }

    /// Takes the values of cookies out from now on that a response sets.
    pub(super) fn add_cookies(&mut self, head: &[u8]) {
        for line in head.split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.split(';').next().and_then(|pair| pair.split_once('=')).map(|(_, value)| value);
            let value = value.unwrap_or_default().trim();
            if name.trim().eq_ignore_ascii_case("set-cookie") && value.len() >= COOKIE_BYTES_MIN {
                self.add(value);
            }
        }
    }

    /// The text without what must not be shown.
    pub(super) fn hide(&self, text: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(first) = text.get(at) {
            if let Some(hidden) = self.texts.iter().find(|hidden| text[at..].starts_with(hidden)) {
                shown.extend_from_slice(HIDDEN.as_bytes());
                at += hidden.len();
            } else {
                shown.push(*first);
                at += 1;
            }
        }
        shown
    }
}

/// Whether a line of a head carries credentials.
pub(super) fn is_credential(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    line.contains(':') && CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential))
}

fn percent(text: &str, space: &str, upper: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            b' ' => encoded.push_str(space),
            _ if upper => _ = write!(encoded, "%{byte:02X}"),
            _ => _ = write!(encoded, "%{byte:02x}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_however_they_are_written() {
        let mut mask = Mask::default();
        mask.add("p w/\"1");
        mask.add("p w/\"1 and more");
        let rows = [
            ("raw p w/\"1!", "raw ***!"),
            ("the longer p w/\"1 and more!", "the longer ***!"),
            ("query=p%20w%2F%221&b", "query=***&b"),
            ("query=p%20w%2f%221&b", "query=***&b"),
            ("form=p+w%2F%221&b", "form=***&b"),
            (r#"{"json":"p w/\"1"}"#, r#"{"json":"***"}"#),
            ("b64 cCB3LyIx", "b64 ***"),
            ("nothing of p w", "nothing of p w"),
        ];
        for (text, shown) in rows {
            assert_eq!(String::from_utf8(mask.hide(text.as_bytes())).expect("UTF-8"), shown);
        }
    }

    #[test]
    fn cookies_are_taken_out_once_they_are_set() {
        let mut mask = Mask::default();
        mask.add_cookies(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: id=s3cr3t-id; Path=/\r\nX-Other: a=visible\r\n\r\n",
        );
        assert_eq!(mask.hide(b"id=s3cr3t-id visible"), b"id=*** visible");
    }

    #[test]
    fn credentials_are_known_by_the_names_of_their_fields() {
        for (line, is) in [
            ("Authorization: Bearer x", true),
            ("COOKIE : a=b", true),
            ("set-cookie: a=b", true),
            ("Accept: cookie", false),
            ("cookie", false),
        ] {
            assert_eq!(is_credential(line), is, "{line}");
        }
    }
}
