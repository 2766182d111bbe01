//! Tables of texts and what they mean, wrong ones included.

use super::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

#[test]
fn durations() {
    let rows = [
        ("100us", Ok(100_000)),
        ("100µs", Ok(100_000)),
        ("5ms", Ok(5 * MS)),
        (" 1.5s ", Ok(1_500 * MS)),
        ("0.1ms", Ok(100_000)),
        ("0.000000001s", Ok(1)),
        ("2 m", Ok(120 * S)),
        ("1h", Ok(3_600 * S)),
        ("0s", Ok(0)),
        ("7ns", Ok(7)),
        ("5", Err("5ms or 5s")),
        ("0", Err("has no unit")),
        ("", Err("does not begin with a number")),
        ("ms", Err("does not begin with a number")),
        ("-1s", Err("does not begin with a number")),
        ("1x", Err("no unit of time")),
        ("1..5s", Err("no number")),
        ("1.s", Err("no number")),
        ("99999999999999999999s", Err("too large")),
        ("9999999999999h", Err("too large")),
    ];
    check(&rows, parse_duration);
}

#[test]
fn fractions_and_sizes() {
    check(
        &[
            ("0.25", Ok(0.25)),
            ("25%", Ok(0.25)),
            ("1", Ok(1.0)),
            ("0", Ok(0.0)),
            ("1.5", Err("not between")),
            ("-0.1", Err("not between")),
            ("NaN", Err("not between")),
            ("many", Err("no number")),
            ("", Err("no number")),
        ],
        parse_fraction,
    );
    check(
        &[
            ("100", Ok(100)),
            ("4k", Ok(4_096)),
            ("1.5KiB", Ok(1_536)),
            ("1MiB", Ok(1 << 20)),
            ("1g", Ok(1 << 30)),
            ("2g", Err("too large")),
            ("4q", Err("no unit of size")),
            ("", Err("no number")),
            ("k", Err("no number")),
        ],
        parse_size,
    );
}

#[test]
fn delay_laws() {
    let pareto = |max_ns| DelayLaw::Pareto { min_ns: MS, shape: 1.5, max_ns };
    let rows = [
        ("none", Ok(DelayLaw::None)),
        ("5ms", Ok(DelayLaw::Constant { delay_ns: 5 * MS })),
        ("constant:5ms", Ok(DelayLaw::Constant { delay_ns: 5 * MS })),
        ("uniform:1ms,5ms", Ok(DelayLaw::Uniform { min_ns: MS, max_ns: 5 * MS })),
        ("exp:5ms", Ok(DelayLaw::Exponential { mean_ns: 5 * MS })),
        ("exponential: 5ms", Ok(DelayLaw::Exponential { mean_ns: 5 * MS })),
        ("bimodal:1ms,50ms,0.1", Ok(DelayLaw::Bimodal { fast_ns: MS, slow_ns: 50 * MS, slow_share: 0.1 })),
        ("pareto:1ms,1.5", Ok(pareto(DELAY_NS_LIMIT))),
        ("pareto:1ms,1.5,2s", Ok(pareto(2 * S))),
        ("", Err("is no law")),
        ("5", Err("has no unit")),
        ("normal:5ms", Err("\"normal\" is no law")),
        ("exp", Err("is no law")),
        ("exp:", Err("does not begin with a number")),
        ("exp:5", Err("has no unit")),
        ("exp:1ms,2ms", Err("does not take 2 values")),
        ("uniform:5ms", Err("does not take 1 values")),
        ("uniform:5ms,1ms", Err("wrong order")),
        ("bimodal:1ms,50ms,2", Err("not between 0 and 1")),
        ("bimodal:1ms,50ms", Err("does not take 2 values")),
        ("pareto:1ms,0", Err("shape")),
        ("pareto:1ms,x", Err("no number")),
        ("pareto:0s,1", Err("least delay above 0")),
        ("2h", Err("at most 1h")),
    ];
    check(&rows, parse_delay);
}

#[test]
fn laws_are_shown_as_they_are_read() {
    for text in [
        "none",
        "5ms",
        "uniform:1ms,5ms",
        "exp:100us",
        "bimodal:1ms,50ms,0.1",
        "pareto:1ms,1.5",
        "pareto:1ms,2,1s",
    ] {
        assert_eq!(parse_delay(text).unwrap().to_string(), text);
    }
}

#[test]
fn stalls() {
    use StallOrigin::{FirstRequest, Start};
    let stall = |length_ns, period_ns, offset_ns, origin| Stall { length_ns, period_ns, offset_ns, origin };
    let rows = [
        ("1s/10s", Ok(stall(S, 10 * S, 4_500 * MS, FirstRequest))),
        ("1s/10s@2s", Ok(stall(S, 10 * S, 2 * S, FirstRequest))),
        ("500ms/1m@start", Ok(stall(500 * MS, 60 * S, 0, Start))),
        ("1s/10s@start+3s", Ok(stall(S, 10 * S, 3 * S, Start))),
        ("1s", Err("has no period")),
        ("", Err("has no period")),
        ("1/10s", Err("\"1\" has no unit")),
        ("1s/", Err("does not begin with a number")),
        ("10s/10s", Err("never ends")),
        ("0s/10s", Err("never begins")),
        ("1s/10s@", Err("does not begin with a number")),
        ("1s/10s@end", Err("does not begin with a number")),
    ];
    check(&rows, parse_stall);
}

#[test]
fn addresses_and_headers() {
    let address = |text: &str| Ok(text.parse::<SocketAddr>().unwrap());
    check(
        &[
            ("8080", address("127.0.0.1:8080")),
            (":0", address("127.0.0.1:0")),
            ("localhost:80", address("127.0.0.1:80")),
            ("0.0.0.0:80", address("0.0.0.0:80")),
            ("[::1]:80", address("[::1]:80")),
            ("65536", Err("0 (any) to 65535")),
            ("example.org:80", Err("127.0.0.1:8080")),
            ("127.0.0.1", Err("no address with a port")),
            ("", Err("no address with a port")),
        ],
        parse_listen,
    );
    assert_eq!(parse_header("X-A:  b c ").unwrap(), ("X-A".to_owned(), "b c".to_owned()));
    assert!(parse_header("nothing").unwrap_err().to_string().contains("write Name: value"));
    assert!(parse_header(": b").is_err());
}

fn check<T: std::fmt::Debug + PartialEq>(
    rows: &[(&str, Result<T, &str>)],
    read: impl Fn(&str) -> Result<T, ParseError>,
) {
    for (text, expected) in rows {
        match (read(text), expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, *expected, "{text:?}"),
            (Err(error), Err(part)) => {
                let message = error.to_string();
                assert!(message.contains(part), "{text:?}: {message:?} lacks {part:?}");
                assert!(!error.fix.is_empty() && message.contains(&format!("{text:?}")));
            }
            (read, expected) => panic!("{text:?}: {read:?} instead of {expected:?}"),
        }
    }
}
