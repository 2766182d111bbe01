//! What the encoder writes, and what it refuses.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::{RequestError, USER_AGENT, asks_to_close, encode_request};

type Headers<'text> = &'text [(&'text str, &'text str)];

fn owned(headers: Headers) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn encode(
    method: &str,
    target: &str,
    host: &str,
    headers: Headers,
    body: &[u8],
) -> Result<String, RequestError> {
    let bytes = encode_request(method, target, host, &owned(headers), body)?;
    Ok(String::from_utf8(bytes).unwrap().replace(USER_AGENT, "AGENT"))
}

#[test]
fn encoded() {
    let agent = "User-Agent: AGENT\r\n";
    let rows: &[(&str, &str, Headers, &[u8], String)] = &[
        ("GET", "/", &[], b"", format!("GET / HTTP/1.1\r\nHost: h:80\r\n{agent}\r\n")),
        ("HEAD", "/a?b=c%20d", &[], b"", format!("HEAD /a?b=c%20d HTTP/1.1\r\nHost: h:80\r\n{agent}\r\n")),
        ("OPTIONS", "*", &[], b"", format!("OPTIONS * HTTP/1.1\r\nHost: h:80\r\n{agent}\r\n")),
        ("GET", "http://o/", &[], b"", format!("GET http://o/ HTTP/1.1\r\nHost: h:80\r\n{agent}\r\n")),
        ("POST", "/", &[], b"", format!("POST / HTTP/1.1\r\nHost: h:80\r\n{agent}Content-Length: 0\r\n\r\n")),
        (
            "PUT",
            "/",
            &[],
            b"a\r\n",
            format!("PUT / HTTP/1.1\r\nHost: h:80\r\n{agent}Content-Length: 3\r\n\r\na\r\n"),
        ),
        (
            "PATCH",
            "/",
            &[],
            b"",
            format!("PATCH / HTTP/1.1\r\nHost: h:80\r\n{agent}Content-Length: 0\r\n\r\n"),
        ),
        ("DELETE", "/", &[], b"", format!("DELETE / HTTP/1.1\r\nHost: h:80\r\n{agent}\r\n")),
        ("GET", "/", &[], b"x", format!("GET / HTTP/1.1\r\nHost: h:80\r\n{agent}Content-Length: 1\r\n\r\nx")),
        (
            "POST",
            "/",
            &[("content-length", " 2 "), ("A", "\t b c ")],
            b"hi",
            format!("POST / HTTP/1.1\r\nHost: h:80\r\n{agent}content-length: 2\r\nA: b c\r\n\r\nhi"),
        ),
        (
            "GET",
            "/",
            &[("A", "1"), ("HOST", "other"), ("user-agent", "me"), ("A", "2"), ("B", "")],
            b"",
            "GET / HTTP/1.1\r\nHost: other\r\nA: 1\r\nuser-agent: me\r\nA: 2\r\nB: \r\n\r\n".to_owned(),
        ),
        ("GET", "/", &[("User-Agent", " ")], b"", "GET / HTTP/1.1\r\nHost: h:80\r\n\r\n".to_owned()),
        (
            "M-1~",
            "/",
            &[("A", "gr\u{fc}n")],
            b"",
            format!("M-1~ / HTTP/1.1\r\nHost: h:80\r\n{agent}A: gr\u{fc}n\r\n\r\n"),
        ),
    ];
    for (method, target, headers, body, expected) in rows {
        assert_eq!(encode(method, target, "h:80", headers, body).as_ref(), Ok(expected));
    }
    assert!(encode("GET", "/", "[::1]:8080", &[], b"").unwrap().contains("\r\nHost: [::1]:8080\r\n"));
}

#[test]
fn refused() {
    use RequestError as Error;
    let method = |method: &str| Error::Method { method: method.to_owned() };
    let host = |host: &str| Error::Host { host: host.to_owned() };
    let name = |name: &str| Error::HeaderName { name: name.to_owned() };
    let value = |byte, offset| Error::HeaderValue { name: "A".to_owned(), byte, offset };
    let rows: &[(&str, &str, &str, Headers, RequestError)] = &[
        ("", "/", "h", &[], method("")),
        ("GE T", "/", "h", &[], method("GE T")),
        ("GET\r\n", "/", "h", &[], method("GET\r\n")),
        ("G\u{c9}T", "/", "h", &[], method("G\u{c9}T")),
        ("CONNECT", "/", "h", &[], Error::Connect),
        ("GET", "", "h", &[], Error::TargetForm),
        ("GET", "a", "h", &[], Error::TargetForm),
        ("GET", "*", "h", &[], Error::TargetForm),
        ("GET", "ftp://h/", "h", &[], Error::TargetForm),
        ("GET", "/a b", "h", &[], Error::TargetByte { byte: b' ', offset: 2 }),
        ("GET", "/ HTTP/1.1\r\nX: y", "h", &[], Error::TargetByte { byte: b' ', offset: 1 }),
        ("GET", "/\r\n", "h", &[], Error::TargetByte { byte: b'\r', offset: 1 }),
        ("GET", "/\n", "h", &[], Error::TargetByte { byte: b'\n', offset: 1 }),
        ("GET", "/\0", "h", &[], Error::TargetByte { byte: 0, offset: 1 }),
        ("GET", "/a#b", "h", &[], Error::TargetByte { byte: b'#', offset: 2 }),
        ("GET", "/\u{e9}", "h", &[], Error::TargetByte { byte: 0xc3, offset: 1 }),
        ("GET", "/", "", &[], host("")),
        ("GET", "/", "h h", &[], host("h h")),
        ("GET", "/", "h\r\nX: y", &[], host("h\r\nX: y")),
        ("GET", "/", "u@h", &[], host("u@h")),
        ("GET", "/", "h/x", &[], host("h/x")),
        ("GET", "/", "h", &[("Host", "")], host("")),
        ("GET", "/", "h", &[("Host", "a b")], host("a b")),
        ("GET", "/", "h", &[("", "x")], name("")),
        ("GET", "/", "h", &[("A:", "x")], name("A:")),
        ("GET", "/", "h", &[("A B", "x")], name("A B")),
        ("GET", "/", "h", &[("A\r\nB", "x")], name("A\r\nB")),
        ("GET", "/", "h", &[("A", "b\r\nC: d")], value(b'\r', 1)),
        ("GET", "/", "h", &[("A", "b\nC: d")], value(b'\n', 1)),
        ("GET", "/", "h", &[("A", "\0")], value(0, 0)),
        ("GET", "/", "h", &[("A", "bc\x1b")], value(0x1b, 2)),
        ("GET", "/", "h", &[("A", "\x7f")], value(0x7f, 0)),
        ("GET", "/", "h", &[("Host", "a"), ("host", "a")], Error::Duplicate { name: "Host" }),
        (
            "GET",
            "/",
            "h",
            &[("User-Agent", "a"), ("user-agent", "")],
            Error::Duplicate { name: "User-Agent" },
        ),
        (
            "GET",
            "/",
            "h",
            &[("Content-Length", "0"), ("content-length", "0")],
            Error::Duplicate { name: "Content-Length" },
        ),
        ("GET", "/", "h", &[("Content-Length", "1")], Error::ContentLength { actual: 0 }),
        ("GET", "/", "h", &[("Content-Length", "00")], Error::ContentLength { actual: 0 }),
        ("GET", "/", "h", &[("Content-Length", "")], Error::ContentLength { actual: 0 }),
        ("GET", "/", "h", &[("transfer-encoding", "chunked")], Error::TransferEncoding),
        ("GET", "/", "h", &[("Transfer-Encoding", "")], Error::TransferEncoding),
    ];
    for (method, target, host, headers, expected) in rows {
        let error = encode(method, target, host, headers, b"").unwrap_err();
        assert_eq!(&error, expected);
        assert!(!error.to_string().contains(['\r', '\n', '\0', '\x1b']), "{error}");
    }
}

/// Values and targets may hold secrets; no error repeats them.
#[test]
fn errors_keep_secrets() {
    let secret = "hunter2";
    for error in [
        encode("GET", &format!("/?token={secret} "), "h", &[], b"").unwrap_err(),
        encode("GET", secret, "h", &[], b"").unwrap_err(),
        encode("GET", "/", "h", &[("Authorization", &format!("{secret}\n"))], b"").unwrap_err(),
        encode("GET", "/", "h", &[("Content-Length", secret)], b"").unwrap_err(),
    ] {
        assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret), "{error:?}");
    }
}

#[test]
fn closing() {
    let rows: &[(Headers, bool)] = &[
        (&[], false),
        (&[("Connection", "close")], true),
        (&[("connection", "x,\tClose ")], true),
        (&[("Connection", "keep-alive"), ("CONNECTION", "close")], true),
        (&[("Connection", "closed")], false),
        (&[("X", "close")], false),
    ];
    for (headers, expected) in rows {
        assert_eq!(asks_to_close(&owned(headers)), *expected, "{headers:?}");
    }
}

proptest! {
    /// Whatever the texts, what passes is exactly one request with exactly these fields and this body.
    #[test]
    fn nothing_is_injected(
        method in prop_oneof!["[A-Z]{1,7}", "\\PC{0,4}"],
        target in prop_oneof!["/[a-z?=&%0-9]{0,12}", "[/*]?[ -~\r\n\0]{0,6}"],
        host in prop_oneof!["[a-z.:0-9]{1,12}", "[ -~\r\n]{0,6}"],
        headers in vec((prop_oneof!["[A-Za-z-]{1,12}", "[ -~\r\n]{0,4}"], "[ -~\r\n\t\0\u{e9}]{0,8}"), 0..4),
        body in vec(any::<u8>(), 0..30),
    ) {
        if let Ok(bytes) = encode_request(&method, &target, &host, &headers, &body) {
            let mut storage = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut storage);
            let size = request.parse(&bytes).unwrap().unwrap();
            prop_assert_eq!(&bytes[size..], &body[..]);
            prop_assert_eq!((request.method, request.path, request.version), (Some(&*method), Some(&*target), Some(1)));
            let count = |name: &str| request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
            prop_assert_eq!(count("Host"), 1);
            prop_assert!(request.headers[0].name == "Host");
            prop_assert!(count("Content-Length") <= 1 && count("User-Agent") <= 1);
            prop_assert_eq!(count("Transfer-Encoding"), 0);
            let kept = |name: &str| !["host", "user-agent", "content-length"].contains(&name.to_ascii_lowercase().as_str());
            let given: Vec<_> = headers.iter().filter(|header| kept(&header.0)).collect();
            let sent: Vec<_> = request.headers.iter().filter(|header| kept(header.name)).collect();
            prop_assert_eq!(given.len(), sent.len());
            for (given, sent) in given.iter().zip(sent) {
                prop_assert_eq!(&given.0, sent.name);
                prop_assert_eq!(given.1.trim_matches([' ', '\t']).as_bytes(), sent.value);
            }
        }
    }
}
