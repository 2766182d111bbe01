//! The lines of `openloop.control/1` that the engine writes.
//!
//! What it is: replies and events. What it is not: a socket.
//!
//! Units: instants are nanoseconds of this machine's `CLOCK_MONOTONIC`.

use clock::{Clock, OsClock, Timestamp};
use serde_json::{Value, json};

use crate::drive::Standing;
use crate::run::State;

/// The JSON Schema of requests, replies and events.
pub const SCHEMA: &str = include_str!("../../schema/openloop.control.v1.json");

/// The name and number of the document.
const SCHEMA_NAME: &str = "openloop.control/1";

/// The reply to a request that was carried out.
pub(super) fn reply(id: Option<&Value>, standing: &Standing) -> String {
    json!({
        "schema": SCHEMA_NAME,
        "id": id,
        "ok": true,
        "now_monotonic_ns": OsClock.now().as_nanos(),
        "status": {
            "state": state_name(standing.state),
            "start_monotonic_ns": standing.start.map(Timestamp::as_nanos),
            "scheduled": standing.scheduled,
            "sent": standing.sent,
            "ok": standing.ok,
            "errors": standing.errors,
            "dropped": standing.dropped,
        },
    })
    .to_string()
}

/// The reply to a request that was not carried out.
pub(super) fn refused(id: Option<&Value>, message: &str) -> String {
    json!({ "schema": SCHEMA_NAME, "id": id, "ok": false, "error": message }).to_string()
}

/// The event that carries an interval document.
pub(super) fn interval(document: &str) -> String {
    // The document is JSON already; only the frame is written here.
    format!("{{\"schema\":\"{SCHEMA_NAME}\",\"event\":\"interval\",\"interval\":{document}}}")
}

/// The event that tells a slow subscriber how many intervals it has missed.
pub(super) fn lost(count: u64) -> String {
    json!({ "schema": SCHEMA_NAME, "event": "lost", "intervals": count }).to_string()
}

/// The event after the last interval.
pub(super) fn ended() -> String {
    json!({ "schema": SCHEMA_NAME, "event": "ended" }).to_string()
}

fn state_name(state: State) -> &'static str {
    match state {
        State::Warming => "warming",
        State::Ready => "ready",
        State::Started => "started",
        State::Over => "over",
    }
}
