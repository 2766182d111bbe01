//! OAuth 2 tokens by client credentials (RFC 6749 §4.4): the request for one, and the reading of its response.
//!
//! What it is not: the exchange itself; whoever runs the program does that before the start, and again before the token ends.

use std::ops::ControlFlow;

use super::TokenRequest;
use crate::arena::Variables;
use crate::draw::{Draws, Key};
use crate::encode::{self, Alphabet};
use crate::error::Origin;
use crate::iteration::Context;
use crate::json::push_text;
use crate::json_path::JsonPath;
use crate::value::{Failure, Filler, Value};

/// The error codes of RFC 6749 §5.2. Others are not shown: what a server writes there may be anything.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// A request for a token, written out: a `POST` of `application/x-www-form-urlencoded`.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenMessage {
    /// Where it goes. It may hold a secret.
    pub url: Vec<u8>,
    /// The value of `Authorization`, if the client proves itself there. It holds the secret.
    pub authorization: Option<Vec<u8>>,
    /// The form. It may hold the secret.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for TokenMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TokenMessage").finish_non_exhaustive()
    }
}

/// What a server gave out.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenToken {
    /// The token, fit for a header field.
    pub text: Vec<u8>,
    /// For how many seconds it is good, if the server says so.
    pub seconds: Option<u64>,
}

impl std::fmt::Debug for GivenToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GivenToken").field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// Writes the request. It knows secrets and functions, but no variables and no rows.
    ///
    /// # Errors
    /// A value is missing.
    pub fn render(&self, context: &Context<'_>) -> Result<TokenMessage, Failure> {
        let mut filler = Filler {
            variables: &Variables::new(0, 0),
            values: context.values,
            draws: &mut Draws::new(Key::new(0, 0), 0),
            slot: 0,
            user: 0,
            unix_ns: context.unix_ns,
        };
        let mut encoded = |value: &Value, out: &mut Vec<u8>| -> Result<(), Failure> {
            let start = out.len();
            filler.push(value, out)?;
            encode::replace(out, start, Alphabet::Percent);
            Ok(())
        };
        let mut body = b"grant_type=client_credentials".to_vec();
        let mut authorization = None;
        if self.in_body {
            body.extend_from_slice(b"&client_id=");
            encoded(&self.client_id, &mut body)?;
            body.extend_from_slice(b"&client_secret=");
            encoded(&self.client_secret, &mut body)?;
        } else {
            // RFC 6749 §2.3.1: both are encoded before they become user and password.
            let mut field = b"Basic ".to_vec();
            let start = field.len();
            encoded(&self.client_id, &mut field)?;
            field.push(b':');
            encoded(&self.client_secret, &mut field)?;
            encode::replace(&mut field, start, Alphabet::Base64);
            authorization = Some(field);
        }
        if let Some(scope) = &self.scope {
            body.extend_from_slice(b"&scope=");
            encoded(scope, &mut body)?;
        }
        let mut url = Vec::new();
        filler.push(&self.url, &mut url)?;
        Ok(TokenMessage { url, authorization, body })
    }

    /// Reads a response with a status of success.
    ///
    /// # Errors
    /// There is no token in it that a request can carry; in words.
    pub fn read(json: &[u8]) -> Result<GivenToken, &'static str> {
        let text = member(json, "$.access_token").filter(|token| !token.is_empty());
        let text = text.ok_or("there is no access_token in the answer")?;
        // RFC 6749 appendix A.12: visible characters and spaces.
        if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err("the token has characters that a header field cannot carry");
        }
        // RFC 6749 §7.1: a type that is not understood is not used.
        let kind = member(json, "$.token_type").unwrap_or_else(|| b"bearer".to_vec());
        if !kind.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer")) {
            return Err("the token is of another type than Bearer");
        }
        let seconds = member(json, "$.expires_in")
            .and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<f64>().ok())
            .filter(|seconds| (0.0..1e9).contains(seconds));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a billion"
        )]
        let seconds = seconds.map(|seconds| seconds as u64);
        Ok(GivenToken { text, seconds })
    }

    /// Why a server gave none, if it says so in one of the ways of RFC 6749 §5.2.
    pub fn refusal(json: &[u8]) -> Option<&'static str> {
        let code = member(json, "$.error")?;
        CODES.into_iter().find(|known| known.as_bytes() == code)
    }
}

/// The text at a path of a document.
fn member(json: &[u8], path: &str) -> Option<Vec<u8>> {
    let mut found = None;
    let path = JsonPath::parse(path, Origin::default()).ok()?;
    // To its end: what is cut short or no JSON says nothing.
    path.find(json, &mut |value| {
        found = found.or(Some(value));
        ControlFlow::Continue(())
    })
    .ok()?;
    let mut text = Vec::new();
    push_text(found?, &mut text);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read() {
        let given = |text: &[u8], seconds| Ok(GivenToken { text: text.to_vec(), seconds });
        for (json, expected) in [
            (
                r#"{"token_type": "Bearer", "access_token": "a.b\/c", "expires_in": 60}"#,
                given(b"a.b/c", Some(60)),
            ),
            (
                r#"{"access_token": "t", "expires_in": "3600", "token_type": "BEARER"}"#,
                given(b"t", Some(3_600)),
            ),
            (r#"{"access_token": "t", "expires_in": 1.5}"#, given(b"t", Some(1))),
            (r#"{"access_token": "t", "expires_in": -1}"#, given(b"t", None)),
            (r#"{"access_token": "t", "expires_in": null, "token_type": "bearer"}"#, given(b"t", None)),
            (r#"{"error": "invalid_client"}"#, Err("there is no access_token in the answer")),
            (r#"{"access_token": ""}"#, Err("there is no access_token in the answer")),
            (
                r#"{"access_token": "a\r\nX: 1"}"#,
                Err("the token has characters that a header field cannot carry"),
            ),
            (
                r#"{"access_token": "t", "token_type": "mac"}"#,
                Err("the token is of another type than Bearer"),
            ),
            ("<html>", Err("there is no access_token in the answer")),
        ] {
            assert_eq!(TokenRequest::read(json.as_bytes()), expected, "{json}");
            for cut in 0..json.len() {
                // What is cut holds no other token than the whole.
                let cut = TokenRequest::read(&json.as_bytes()[..cut]).map(|given| given.text);
                assert!(cut.is_err() || cut == expected.clone().map(|given| given.text), "{json}");
            }
        }
        assert_eq!(TokenRequest::refusal(br#"{"error": "invalid_scope"}"#), Some("invalid_scope"));
        assert_eq!(TokenRequest::refusal(br#"{"error": "hunter2"}"#), None);
        assert!(!format!("{:?}", given(b"hunter2", None)).contains("hunter2"));
    }
}
