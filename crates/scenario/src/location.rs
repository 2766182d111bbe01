//! Where a redirect leads: the `Location` of a response, resolved against the URL that was asked (RFC 3986 §5.2).

/// The place of a request, and the next one when it is redirected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) is_secure: bool,
    /// Host and port, as in the URL.
    pub(crate) authority: Vec<u8>,
    /// Path and query.
    pub(crate) target: Vec<u8>,
}

impl Address {
    /// The host in the authority, without a port.
    pub(crate) fn host(&self) -> &[u8] {
        host_of(&self.authority)
    }

    pub(crate) fn path(&self) -> &[u8] {
        path_of(&self.target)
    }

    /// Goes to where `location` leads from here; `false`, and nothing changed, when it leads nowhere.
    pub(crate) fn follow(&mut self, location: &[u8], scratch: &mut Vec<u8>) -> bool {
        let location = location.split(|&byte| byte == b'#').next().unwrap_or_default();
        if location.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
            return false;
        }
        let scheme = ["http://", "https://"].into_iter().find(|scheme| {
            location.len() >= scheme.len() && location[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes())
        });
        let after = match scheme {
            Some(scheme) => &location[scheme.len()..],
            None if location.starts_with(b"//") => &location[2..],
            None => return self.relative(location, scratch),
        };
        let end = after.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after.len());
        let authority = &after[..end];
        // A user name in a URL is no longer a thing that is sent (RFC 9110 §4.2.4).
        if authority.is_empty()
            || !authority.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
        {
            return false;
        }
        self.authority.clear();
        self.authority.extend_from_slice(authority);
        self.authority.make_ascii_lowercase();
        self.is_secure = scheme.map_or(self.is_secure, |scheme| scheme == "https://");
        scratch.clear();
        if !after[end..].starts_with(b"/") {
            scratch.push(b'/');
        }
        scratch.extend_from_slice(&after[end..]);
        self.take(scratch);
        true
    }

    fn relative(&mut self, location: &[u8], scratch: &mut Vec<u8>) -> bool {
        let colon = memchr::memchr(b':', location);
        let slash = location.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(location.len());
        if colon.is_some_and(|colon| colon < slash) {
            // Another scheme.
            return false;
        }
        scratch.clear();
        let path = self.path();
        match location.first() {
            None => scratch.extend_from_slice(&self.target),
            Some(b'/') => scratch.extend_from_slice(location),
            Some(b'?') => {
                scratch.extend_from_slice(path);
                scratch.extend_from_slice(location);
            }
            Some(_) => {
                let folder = memchr::memrchr(b'/', path).map_or(&b"/"[..], |at| &path[..=at]);
                scratch.extend_from_slice(folder);
                scratch.extend_from_slice(location);
            }
        }
        self.take(scratch);
        true
    }

    /// Takes over path and query, without `.` and `..` (RFC 3986 §5.2.4).
    fn take(&mut self, target: &[u8]) {
        let path = path_of(target);
        self.target.clear();
        let mut segments = path[1..].split(|&byte| byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            match segment {
                b"." | b".." => {
                    if segment == b".." {
                        let parent = memchr::memrchr(b'/', &self.target).unwrap_or_default();
                        self.target.truncate(parent);
                    }
                    if is_last {
                        self.target.push(b'/');
                    }
                }
                _ => {
                    self.target.push(b'/');
                    self.target.extend_from_slice(segment);
                }
            }
        }
        self.target.extend_from_slice(&target[path.len()..]);
    }
}

pub(crate) fn path_of(target: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'?', target).unwrap_or(target.len());
    &target[..end]
}

pub(crate) fn host_of(authority: &[u8]) -> &[u8] {
    if authority.starts_with(b"[") {
        return memchr::memchr(b']', authority).map_or(authority, |end| &authority[..=end]);
    }
    memchr::memchr(b':', authority).map_or(authority, |end| &authority[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(location: &str) -> Option<String> {
        let mut address =
            Address { is_secure: false, authority: b"h.x:81".to_vec(), target: b"/a/b/c?q=1".to_vec() };
        let is_good = address.follow(location.as_bytes(), &mut Vec::new());
        let scheme = if address.is_secure { "https" } else { "http" };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        is_good.then(|| format!("{scheme}://{}{}", text(&address.authority), text(&address.target)))
    }

    /// The last rows are those of RFC 3986 §5.4.1 that have a meaning here.
    #[test]
    fn locations() {
        for (location, expected) in [
            ("https://I.x/p?r#f", Some("https://i.x/p?r")),
            ("HTTP://i.x", Some("http://i.x/")),
            ("http://i.x?r", Some("http://i.x/?r")),
            ("//i.x:82/p", Some("http://i.x:82/p")),
            ("http://[::1]:8/p", Some("http://[::1]:8/p")),
            ("/p", Some("http://h.x:81/p")),
            ("/p?u=http://x/", Some("http://h.x:81/p?u=http://x/")),
            ("?r", Some("http://h.x:81/a/b/c?r")),
            ("", Some("http://h.x:81/a/b/c?q=1")),
            ("ftp://i.x/", None),
            ("javascript:x", None),
            ("http://", None),
            ("http://u:p@i.x/", None),
            ("/a b", None),
            ("/a\r\nX: y", None),
            ("\\\\i.x", None),
            ("g", Some("http://h.x:81/a/b/g")),
            ("./g/", Some("http://h.x:81/a/b/g/")),
            ("..", Some("http://h.x:81/a/")),
            ("../g", Some("http://h.x:81/a/g")),
            ("../../../g", Some("http://h.x:81/g")),
            ("g/./h/../i", Some("http://h.x:81/a/b/g/i")),
            (".", Some("http://h.x:81/a/b/")),
        ] {
            assert_eq!(followed(location).as_deref(), expected, "{location}");
        }
    }
}
