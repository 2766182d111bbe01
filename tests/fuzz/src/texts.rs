//! Texts that people write: plans and thresholds.

use http1::{RequestError, encode_request};
use plan::{
    CatchUp, ConnectTo, Cores, Header, Host, IoChoice, LONGEST_DURATION_NS, MaxLag, Method, Pacing, Pattern,
    PlanError, ProcessKind, RunId, Share, Tag, TlsVersion, Url, duration_text, parse_count, parse_duration,
    parse_millionths, parse_port, parse_rate, parse_size, parse_stages, parse_statuses, parse_switch,
    rate_text,
};
use verdict::Threshold;

use crate::requests::check_request;

/// The input: one text, given to every parser of short texts. Those that can be written out again must then read
/// the same.
pub fn plan_texts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(duration_ns) = accepted(parse_duration(text)) {
        assert!(duration_ns <= LONGEST_DURATION_NS);
        assert_eq!(accepted(parse_duration(&duration_text(duration_ns))), Some(duration_ns));
    }
    if let Some(rate) = accepted(parse_rate(text)) {
        assert_eq!(accepted(parse_rate(&rate_text(rate))), Some(rate));
    }
    if let Some(profile) = accepted(parse_stages(text)) {
        assert!(profile.duration_ns() > 0);
        let count = profile.arrival_count();
        assert_eq!(profile.arrivals_before(profile.duration_ns()), count);
        if let Some(last) = count.checked_sub(1) {
            let due_ns = profile.due_ns(last).expect("every counted arrival has its time");
            assert!(due_ns < profile.duration_ns());
        }
        assert_eq!(profile.due_ns(count), None);
    }
    if let Some(host) = accepted(Host::parse(text)) {
        assert_eq!(accepted(Host::parse(&host.to_string())), Some(host));
    }
    accepted(parse_size(text));
    accepted(parse_port(text));
    accepted(parse_switch(text));
    accepted(parse_count(text, "users", "100"));
    parse_millionths(text);
    accepted(Share::parse(text));
    accepted(parse_statuses(text));
    accepted(Cores::parse(text));
    accepted(ConnectTo::parse(text));
    accepted(MaxLag::parse(text));
    accepted(Pattern::parse(text));
    accepted(Tag::parse(text));
    accepted(RunId::parse(text));
    accepted(CatchUp::parse(text));
    accepted(Pacing::parse(text));
    accepted(ProcessKind::parse(text));
    accepted(IoChoice::parse(text));
    accepted(TlsVersion::parse(text));
}

/// The input: lines with a method, a URL and headers, then an empty line and the body. What the plan accepts, the
/// encoder must, too: the engine has no other way to tell the user.
pub fn plan_request(input: &[u8]) {
    let end = input.windows(2).position(|window| window == b"\n\n").unwrap_or(input.len());
    let body = input.get(end + 2..).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(&input[..end]) else { return };
    let mut lines = text.split('\n');
    let method = lines.next().unwrap_or_default();
    let url = lines.next().unwrap_or_default();
    let Some(method) = accepted(Method::parse(method)) else { return };
    let Some(url) = accepted(Url::parse(url)) else { return };
    let headers: Option<Vec<Header>> = lines.map(|line| accepted(Header::parse(line))).collect();
    let Some(headers) = headers else { return };
    let pairs: Vec<(String, String)> =
        headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect();
    match encode_request(method.as_str(), url.target(), &url.authority(), &pairs, body) {
        Ok(bytes) => check_request(&bytes, method.as_str(), url.target(), body),
        // Only what is wrong with several headers together, or with the meaning of one, is left to the encoder.
        Err(RequestError::Duplicate { .. } | RequestError::Host { .. }) => {
            assert!(headers.iter().any(|header| header.is("Host") || header.is("User-Agent")));
        }
        Err(error) => panic!("the plan let through what cannot be sent: {error}"),
    }
}

/// The input: one threshold. Written out, it must read the same.
pub fn threshold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(threshold) = accepted(Threshold::parse(text)) {
        assert_eq!(accepted(Threshold::parse(&threshold.to_string())), Some(threshold));
    }
}

/// The value, if the parser accepted its text. An error has to be fit for a terminal.
fn accepted<T>(result: Result<T, PlanError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_fit_for_a_terminal(&error.to_string());
            None
        }
    }
}

/// A message says something, and nothing that a terminal would obey.
pub(crate) fn assert_fit_for_a_terminal(text: &str) {
    assert!(!text.is_empty());
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
}
