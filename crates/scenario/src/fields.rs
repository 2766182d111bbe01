//! Hot path. The header fields of a received response, where they lie.
//!
//! What it is not: a judge of them; the response machine has parsed the head before.

/// The fields of a head: names and values, in order. A status line and lines without a colon are passed over.
pub(crate) fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|&byte| byte == b'\n').filter_map(|line| {
        if line.starts_with(b"HTTP/") {
            return None;
        }
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// The value of the first field of that name.
pub(crate) fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(head).find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let head = b"HTTP/1.1 200 OK\r\nA: 1\r\nset-cookie:x=y \r\nB:\r\nnothing\r\nSet-Cookie: z\r\n\r\n";
        assert_eq!(field(head, "a"), Some(&b"1"[..]));
        assert_eq!(field(head, "B"), Some(&b""[..]));
        assert_eq!(field(head, "Set-Cookie"), Some(&b"x=y"[..]));
        assert_eq!(field(head, "HTTP/1.1 200 OK"), None);
        assert_eq!(fields(head).count(), 4);
    }
}
