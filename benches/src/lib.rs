//! The responses that micro-benchmarks and the instruction count read. The benchmarks themselves are in `benches/`,
//! the counted program in `src/instructions/`.

#![forbid(unsafe_code)]

/// 107 bytes, three header fields.
pub const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nServer: openloop-target\r\nContent-Type: text/plain\r\n\
Content-Length: 17\r\n\r\nHello, open loop!";

/// Shaped like the answer of a common server behind a common proxy.
pub const BUSY: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 19:14:00 GMT\r\nServer: nginx/1.26.2\r\n\
Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\
Vary: Accept-Encoding\r\nETag: W/\"2-eZaTSbW9NkpNEK5qAVpUHA\"\r\nX-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n\
Strict-Transport-Security: max-age=31536000; includeSubDomains\r\nX-Content-Type-Options: nosniff\r\n\r\n{}";

/// Two chunks, one with an extension.
pub const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
10\r\n0123456789abcdef\r\n8;name=value\r\n01234567\r\n0\r\n\r\n";
