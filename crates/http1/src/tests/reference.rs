//! A second opinion: what a response means, worked out the simple way, from the whole bytes, with a foreign head
//! parser, strings and vectors.
//!
//! It is more lenient than the machine: where the machine completes a response, the reference must, and say the
//! same. Where the machine refuses, it has no say.

use crate::Response;

/// Sizes of heads up to which the reference is asked.
const FIELDS_MAX: usize = 256;

struct Head {
    status: u16,
    minor: u8,
    size: usize,
    fields: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut storage = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut storage);
        let httparse::Status::Complete(size) = response.parse(bytes).ok()? else { return None };
        let fields = response.headers.iter().map(|header| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).to_ascii_lowercase())
        });
        Some(Self { status: response.code?, minor: response.version?, size, fields: fields.collect() })
    }

    /// The non-empty list elements of all lines of a field.
    fn list(&self, name: &str) -> Vec<&str> {
        let lines = self.fields.iter().filter(|field| field.0 == name);
        lines
            .flat_map(|field| field.1.split(','))
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .collect()
    }
}

/// The meaning of `bytes`, of which the response may leave some; `None` if there is no complete response.
pub(super) fn response(mut bytes: &[u8], head_request: bool) -> Option<Response> {
    let mut head = Head::parse(bytes)?;
    while head.status < 200 {
        bytes = &bytes[head.size..];
        head = Head::parse(bytes)?;
    }
    let body = &bytes[head.size..];
    let options = head.list("connection");
    let persists = !options.contains(&"close") && (head.minor == 1 || options.contains(&"keep-alive"));
    let codings = head.list("transfer-encoding");
    let length: Option<u64> = head.list("content-length").first().map(|length| length.parse().unwrap());
    let (body_bytes, keep_alive) = if head_request || head.status == 304 {
        (0, persists)
    } else if head.status == 204 {
        (0, persists && codings.is_empty() && length.unwrap_or(0) == 0)
    } else if codings.last() == Some(&"chunked") {
        (chunked(body)?, persists)
    } else if let Some(length) = length {
        if (body.len() as u64) < length {
            return None;
        }
        (length, persists)
    } else {
        (body.len() as u64, false)
    };
    let head_bytes = u32::try_from(head.size).unwrap();
    Some(Response { status: head.status, keep_alive, head_bytes, body_bytes })
}

/// The size of the data of a chunked body.
fn chunked(mut body: &[u8]) -> Option<u64> {
    let mut total = 0;
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let digits = body[..line].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = u64::from_str_radix(std::str::from_utf8(&body[..digits]).unwrap(), 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            return Some(total);
        }
        total += size;
        body = body.get(usize::try_from(size).unwrap()..)?.strip_prefix(b"\r\n")?;
    }
}
