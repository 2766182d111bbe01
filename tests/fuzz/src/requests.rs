//! Requests from hostile texts.

use http1::{USER_AGENT, encode_request};

/// The input: method, target, host, names and values of headers, and the body last, each but the body ended by the
/// byte 0xFF. Whatever they hold, what is encoded is one request.
pub fn http1_request(input: &[u8]) {
    let mut parts: Vec<&[u8]> = input.split(|byte| *byte == 0xff).collect();
    let body = parts.pop().unwrap_or_default();
    let texts: Vec<String> = parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let [method, target, host, fields @ ..] = texts.as_slice() else { return };
    let headers: Vec<(String, String)> =
        fields.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    if let Ok(bytes) = encode_request(method, target, host, &headers, body) {
        check_request(&bytes, method, target, body);
    }
}

/// Asserts that `bytes` are one request, by the simplest reader there is.
pub(crate) fn check_request(bytes: &[u8], method: &str, target: &str, body: &[u8]) {
    let head_size = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head ends") + 4;
    assert_eq!(&bytes[head_size..], body, "the body follows the head, and nothing else");
    let head = &bytes[..head_size - 4];
    for (at, byte) in head.iter().enumerate() {
        let is_line_end = match byte {
            b'\r' => head.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && head[at - 1] == b'\r',
            b'\t' => true,
            _ => !byte.is_ascii_control(),
        };
        assert!(is_line_end, "the control byte 0x{byte:02x} stands in a line");
    }
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some(format!("{method} {target} HTTP/1.1").as_str()));
    let fields: Vec<(&str, &str)> =
        lines.map(|line| line.split_once(": ").expect("a field line has a colon")).collect();
    assert_eq!(fields.first().map(|field| field.0), Some("Host"));
    let values = |wanted: &str| -> Vec<&str> {
        fields.iter().filter(|field| field.0.eq_ignore_ascii_case(wanted)).map(|field| field.1).collect()
    };
    assert_eq!(values("Host").len(), 1);
    assert!(values("User-Agent").len() <= 1);
    assert!(values("Transfer-Encoding").is_empty());
    let size = body.len().to_string();
    match values("Content-Length").as_slice() {
        [] => assert!(body.is_empty(), "the body of a {USER_AGENT} request has a length"),
        [length] => assert_eq!(*length, size),
        _ => panic!("two lengths"),
    }
}
