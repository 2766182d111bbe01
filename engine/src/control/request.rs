//! The lines of `openloop.control/1` that a client writes.
//!
//! What it is: reading requests, and saying what is wrong with those that are none. What it is not: a socket.
//!
//! Units: instants are nanoseconds of this machine's `CLOCK_MONOTONIC`.

use clock::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::drive::Order;

/// A request that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What the client calls it; repeated in the reply.
    pub id: Option<Value>,
    /// What it asks.
    pub asked: Asked,
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// Something of the run.
    Order(Order),
    /// To be sent every interval.
    Subscribe,
}

#[derive(Deserialize)]
struct Written {
    op: String,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    at_monotonic_ns: Option<u64>,
    #[serde(default)]
    rate: Option<Value>,
    #[serde(default)]
    workload: Option<String>,
}

impl Request {
    /// Reads a line; a wrong one yields what its reply says: its `id`, if that could be read, and a sentence.
    ///
    /// # Errors
    /// The line is no request.
    pub fn parse(line: &[u8]) -> Result<Self, (Option<Value>, String)> {
        let written: Written = serde_json::from_slice(line)
            .map_err(|error| (None, format!("not a request: {error}; e.g. {{\"op\":\"status\"}}")))?;
        let id = written.id;
        let fail = |message: String| Err((id.clone(), message));
        let asked = match written.op.as_str() {
            "start" => Asked::Order(Order::Start { at: None }),
            "arm" => match written.at_monotonic_ns {
                Some(at) => Asked::Order(Order::Start { at: Some(Timestamp::from_nanos(at)) }),
                None => return fail("arm needs at_monotonic_ns, an instant of CLOCK_MONOTONIC".to_owned()),
            },
            "set_rate" => match written.rate.as_ref().map(parse_rate) {
                Some(Ok(rate)) => Asked::Order(Order::SetRate { workload: written.workload, rate }),
                Some(Err(message)) => return fail(message),
                None => return fail("set_rate needs rate, such as 5000 or \"50k\"".to_owned()),
            },
            "stop" => Asked::Order(Order::Stop),
            "abort" => Asked::Order(Order::Abort),
            "status" => Asked::Order(Order::Status),
            "subscribe" => Asked::Subscribe,
            other => {
                let known = "start, arm, set_rate, stop, abort, status, subscribe";
                return fail(format!("{} is no operation; one of {known}", plan::quoted(other)));
            }
        };
        Ok(Self { id, asked })
    }
}

/// A number of requests per second, or a text as `--tps` takes it.
fn parse_rate(value: &Value) -> Result<schedule::Rate, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("rate is a number of requests per second, or a text such as \"50k\"".to_owned()),
    };
    plan::parse_rate(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_understood() {
        let asked = |text: &str| Request::parse(text.as_bytes()).map(|request| request.asked);
        assert_eq!(asked(r#"{"op":"start"}"#), Ok(Asked::Order(Order::Start { at: None })));
        let at = Some(Timestamp::from_nanos(7));
        assert_eq!(asked(r#"{"op":"arm","at_monotonic_ns":7}"#), Ok(Asked::Order(Order::Start { at })));
        let rate = schedule::Rate::per_second(50_000);
        let set = |workload: Option<&str>| {
            Ok(Asked::Order(Order::SetRate { workload: workload.map(str::to_owned), rate }))
        };
        assert_eq!(asked(r#"{"op":"set_rate","rate":"50k"}"#), set(None));
        assert_eq!(asked(r#"{"op":"set_rate","rate":50000}"#), set(None));
        assert_eq!(asked(r#"{"op":"set_rate","workload":"buy","rate":50000}"#), set(Some("buy")));
        assert_eq!(asked(r#"{"op":"subscribe","later":1}"#), Ok(Asked::Subscribe));
    }

    #[test]
    fn wrong_requests_are_answered_with_what_is_right() {
        let rows = [
            ("", "not a request"),
            ("[]", "not a request"),
            (r#"{"op":"go"}"#, "one of start, arm"),
            (r#"{"op":"arm"}"#, "at_monotonic_ns"),
            (r#"{"op":"arm","at_monotonic_ns":-1}"#, "not a request"),
            (r#"{"op":"set_rate"}"#, "needs rate"),
            (r#"{"op":"set_rate","rate":"fast"}"#, "fast"),
            (r#"{"op":"set_rate","rate":[]}"#, "a number"),
            (r#"{"op":"set_rate","workload":1,"rate":1}"#, "not a request"),
        ];
        for (text, expected) in rows {
            let (_, message) = Request::parse(text.as_bytes()).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        let (id, _) = Request::parse(br#"{"op":"go","id":"a"}"#).expect_err("no such operation");
        assert_eq!(id, Some(json!("a")));
    }
}
