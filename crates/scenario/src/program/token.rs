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

impl TokenRequest {
    /// Appends the URL, and the body of a `POST` of `application/x-www-form-urlencoded`. It knows no variables and no rows.
    pub fn render(
        &self,
        context: &Context<'_>,
        url: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let mut filler = Filler {
            variables: &Variables::new(0, 0),
            values: context.values,
            draws: &mut Draws::new(Key::new(0, 0), 0),
            slot: 0,
            user: 0,
            unix_ns: context.unix_ns,
        };
        filler.push(&self.url, url)?;
        body.extend_from_slice(b"grant_type=client_credentials");
        let fields: [(&[u8], Option<&Value>); 3] = [
            (b"&client_id=", Some(&self.client_id)),
            (b"&client_secret=", Some(&self.client_secret)),
            (b"&scope=", self.scope.as_ref()),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            body.extend_from_slice(name);
            let start = body.len();
            filler.push(value, body)?;
            encode::replace(body, start, Alphabet::Percent);
        }
        Ok(())
    }

    /// The token in a response, and for how many seconds it is good if the response says so.
    pub fn read(json: &[u8]) -> Option<(Vec<u8>, Option<u64>)> {
        let member = |path: &str| -> Option<Vec<u8>> {
            let mut found = None;
            let path = JsonPath::parse(path, Origin::default()).ok()?;
            path.find(json, &mut |value| {
                found = Some(value);
                ControlFlow::Break(())
            })
            .ok()?;
            let mut text = Vec::new();
            push_text(found?, &mut text);
            Some(text)
        };
        let token = member("$.access_token").filter(|token| !token.is_empty())?;
        let seconds = member("$.expires_in").and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
        Some((token, seconds))
    }
}
