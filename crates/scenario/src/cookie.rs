//! Hot path. The cookies of one iteration: the part of RFC 6265 that a client without windows needs.
//!
//! Known: name and value, `Path`, `Domain`, `Max-Age`, `Expires` (to delete, or to end), `Secure`. Invariants: a cookie of one
//! host is not sent to another unless its `Domain`, which has a dot within and covers the host that set it, says so; at most
//! 50 cookies and 16 KiB; what is beyond makes the oldest one go.

use crate::encode::Civil;
use crate::fields::fields;
use crate::name::is_token_byte;

/// Most cookies of an iteration.
const COOKIES_MAX: usize = 50;
/// Most bytes that they take together.
const BYTES_MAX: usize = 16 << 10;

/// Whom a request goes to, as cookies see it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Place<'a> {
    /// The host in lower case, without a port.
    pub(crate) host: &'a [u8],
    /// The path, without a query.
    pub(crate) path: &'a [u8],
    pub(crate) is_secure: bool,
}

/// The cookies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar {
    /// Name, value, domain and path of each, one behind the other.
    bytes: Vec<u8>,
    cookies: Vec<Cookie>,
}

#[derive(Copy, Clone, Debug)]
struct Cookie {
    start: usize,
    /// Lengths of name, value, domain and path.
    lengths: [usize; 4],
    is_host_only: bool,
    is_secure: bool,
    expires_ns: u64,
}

impl Cookie {
    fn part<'a>(&self, bytes: &'a [u8], index: usize) -> &'a [u8] {
        let start = self.start + self.lengths[..index].iter().sum::<usize>();
        &bytes[start..start + self.lengths[index]]
    }

    fn length(&self) -> usize {
        self.lengths.iter().sum()
    }
}

/// A `Set-Cookie` header, taken apart.
struct Setting<'a> {
    name: &'a [u8],
    value: &'a [u8],
    domain: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    is_secure: bool,
    expires_ns: u64,
}

impl Jar {
    /// With memory for a few cookies.
    pub(crate) fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(256), cookies: Vec::with_capacity(4) }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.cookies.clear();
    }

    /// Takes the cookies that a response from `place` sets.
    pub(crate) fn receive(&mut self, head: &[u8], place: Place<'_>, unix_ns: u64) {
        for (name, value) in fields(head) {
            if name.eq_ignore_ascii_case(b"set-cookie")
                && let Some(setting) = parse(value, unix_ns)
            {
                self.set(&setting, place, unix_ns);
            }
        }
    }

    fn set(&mut self, setting: &Setting<'_>, place: Place<'_>, unix_ns: u64) {
        if setting.is_secure && !place.is_secure {
            return;
        }
        let domain = match setting.domain {
            // RFC 6265 §5.3: the domain must cover the host; one without a dot would be a whole top level.
            Some(domain) if domain != place.host => {
                if !covers(domain, place.host) || !domain.contains(&b'.') {
                    return;
                }
                domain
            }
            _ => place.host,
        };
        let path = setting.path.unwrap_or_else(|| default_path(place.path));
        let same = |cookie: &Cookie, bytes: &[u8]| {
            cookie.part(bytes, 0) == setting.name
                && cookie.part(bytes, 2) == domain
                && cookie.part(bytes, 3) == path
        };
        if let Some(index) = self.cookies.iter().position(|cookie| same(cookie, &self.bytes)) {
            self.remove(index);
        }
        if setting.expires_ns <= unix_ns {
            return;
        }
        let parts = [setting.name, setting.value, domain, path];
        let lengths = parts.map(<[u8]>::len);
        let length: usize = lengths.iter().sum();
        if length > BYTES_MAX {
            return;
        }
        while self.cookies.len() == COOKIES_MAX || self.bytes.len() + length > BYTES_MAX {
            // Cookies are kept by the length of their paths; the oldest is the one that lies first.
            let oldest = self.cookies.iter().enumerate().min_by_key(|(_, cookie)| cookie.start);
            let Some((oldest, _)) = oldest else { break };
            self.remove(oldest);
        }
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let is_host_only = setting.domain.is_none_or(|named| !named.contains(&b'.'));
        let cookie = Cookie {
            start,
            lengths,
            is_host_only,
            is_secure: setting.is_secure,
            expires_ns: setting.expires_ns,
        };
        // RFC 6265 §5.4: longer paths first, and among equal ones the earlier cookie.
        let at =
            self.cookies.iter().position(|other| other.lengths[3] < path.len()).unwrap_or(self.cookies.len());
        self.cookies.insert(at, cookie);
    }

    fn remove(&mut self, index: usize) {
        let gone = self.cookies.remove(index);
        self.bytes.drain(gone.start..gone.start + gone.length());
        for cookie in self.cookies.iter_mut().filter(|cookie| cookie.start > gone.start) {
            cookie.start -= gone.length();
        }
    }

    /// Appends the header with the cookies for a request, if there are any. The path of the request, without its query, lies in
    /// the same buffer.
    pub(crate) fn push_header(
        &self,
        host: &[u8],
        is_secure: bool,
        path: std::ops::Range<usize>,
        unix_ns: u64,
        out: &mut Vec<u8>,
    ) {
        let mut separator: &[u8] = b"Cookie: ";
        for cookie in &self.cookies {
            let domain = cookie.part(&self.bytes, 2);
            let is_host = domain.eq_ignore_ascii_case(host) || (!cookie.is_host_only && covers(domain, host));
            let is_safe = is_secure || !cookie.is_secure;
            let is_path = matches_path(cookie.part(&self.bytes, 3), &out[path.clone()]);
            if is_host && is_safe && is_path && cookie.expires_ns > unix_ns {
                out.extend_from_slice(separator);
                out.extend_from_slice(cookie.part(&self.bytes, 0));
                out.push(b'=');
                out.extend_from_slice(cookie.part(&self.bytes, 1));
                separator = b"; ";
            }
        }
        if separator == b"; " {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The value that a response sets for the cookie of that name.
pub(crate) fn set_value<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(head)
        .filter(|(field, _)| field.eq_ignore_ascii_case(b"set-cookie"))
        .filter_map(|(_, value)| parse(value, 0))
        .find(|setting| setting.name == name.as_bytes())
        .map(|setting| setting.value)
}

/// RFC 6265 §5.2.
fn parse(text: &[u8], unix_ns: u64) -> Option<Setting<'_>> {
    let mut parts = text.split(|&byte| byte == b';');
    let (name, value) = pair(parts.next()?);
    let value = value?;
    if name.is_empty() || !name.iter().copied().all(is_token_byte) || value.iter().any(u8::is_ascii_control) {
        return None;
    }
    let mut setting =
        Setting { name, value, domain: None, path: None, is_secure: false, expires_ns: u64::MAX };
    let mut max_age = None;
    for part in parts {
        let (name, value) = pair(part);
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        match value {
            Some(value) if is(b"path") => setting.path = Some(value).filter(|path| path.starts_with(b"/")),
            Some(value) if is(b"domain") => {
                setting.domain =
                    Some(value.strip_prefix(b".").unwrap_or(value)).filter(|domain| !domain.is_empty());
            }
            Some(value) if is(b"max-age") => max_age = expiry_of_age(value, unix_ns).or(max_age),
            Some(value) if is(b"expires") => setting.expires_ns = date(value).unwrap_or(setting.expires_ns),
            _ if is(b"secure") => setting.is_secure = true,
            _ => {}
        }
    }
    setting.expires_ns = max_age.unwrap_or(setting.expires_ns);
    Some(setting)
}

fn pair(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', part) {
        Some(at) => (part[..at].trim_ascii(), Some(part[at + 1..].trim_ascii())),
        None => (part.trim_ascii(), None),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn expiry_of_age(value: &[u8], unix_ns: u64) -> Option<u64> {
    if value.strip_prefix(b"-").is_some_and(|digits| number(digits).is_some()) {
        return Some(0);
    }
    let seconds = number(value)?;
    if seconds == 0 {
        return Some(0);
    }
    Some(unix_ns.saturating_add(seconds.saturating_mul(1_000_000_000)))
}

/// A date such as `Wed, 21 Oct 2015 07:28:00 GMT`, in nanoseconds of Unix time; dates before 1970 are 0. Read as RFC 6265
/// §5.1.1 asks: day, month, year and time in any order and with any separators.
fn date(text: &[u8]) -> Option<u64> {
    const MONTHS: &[u8] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let (mut day, mut month, mut year, mut seconds) = (None, None, None, None);
    for token in
        text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b':').filter(|token| !token.is_empty())
    {
        let digits = token.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if token.contains(&b':') && seconds.is_none() {
            let mut fields = token.split(|&byte| byte == b':').map(number);
            let (hours, minutes, rest) = (fields.next()??, fields.next()??, fields.next()??);
            seconds = Some(hours * 3_600 + minutes * 60 + rest).filter(|seconds| *seconds < 86_400);
        } else if (1..=2).contains(&digits) && digits == token.len() && day.is_none() {
            day = number(token);
        } else if digits == token.len() && (2..=4).contains(&digits) && year.is_none() {
            year = number(token).map(|year| {
                if year < 70 {
                    year + 2_000
                } else if year < 100 {
                    year + 1_900
                } else {
                    year
                }
            });
        } else if token.len() >= 3 && month.is_none() {
            month = MONTHS
                .chunks(3)
                .position(|name| name.eq_ignore_ascii_case(&token[..3]))
                .and_then(|index| u64::try_from(index + 1).ok());
        }
    }
    let (day, month, year, seconds) = (day?, month?, year?, seconds?);
    if !(1..=31).contains(&day) || year < 1_601 {
        return None;
    }
    if year < 1_970 {
        return Some(0);
    }
    // The day is found by walking through the calendar that writes dates, from shortly before it.
    let mut days = (year - 1_970) * 365 + (month - 1) * 28;
    while days < 4_000_000 {
        let civil = Civil::of(days * 86_400);
        if (civil.year, civil.month, civil.day) >= (year, month, day) {
            return Some((days * 86_400 + seconds).saturating_mul(1_000_000_000));
        }
        days += 1;
    }
    Some(u64::MAX)
}

/// RFC 6265 §5.1.3: the host is the domain, or lies below it; addresses lie below nothing.
fn covers(domain: &[u8], host: &[u8]) -> bool {
    let is_address = host.contains(&b':') || host.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if domain.eq_ignore_ascii_case(host) {
        return true;
    }
    let above = host.len().checked_sub(domain.len() + 1);
    !is_address && above.is_some_and(|at| host[at] == b'.' && host[at + 1..].eq_ignore_ascii_case(domain))
}

/// RFC 6265 §5.1.4.
fn default_path(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(0) | None => b"/",
        Some(at) => &path[..at],
    }
}

/// RFC 6265 §5.1.4.
fn matches_path(cookie: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with(b"/") || rest.starts_with(b"/"))
}

#[cfg(test)]
#[path = "cookie/tests.rs"]
mod tests;
