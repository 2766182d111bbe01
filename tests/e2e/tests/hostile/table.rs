//! The table: what a run against each behaviour must come to. `docs/hostile.md` is this table for people.

use Answers::{All, None, Some};
use Sees::{AtMost, Every, Nothing};

/// How many of the requests succeed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    All,
    Some,
    None,
}

/// How many of the requests that were sent the target reads whole.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sees {
    /// Each.
    Every,
    /// Some may be lost with their connection.
    AtMost,
    /// Not one.
    Nothing,
}

/// One row.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Case {
    /// The behaviour's name.
    pub(crate) behaviour: &'static str,
    /// The classes that errors may have. Several where it hangs on whether the request or the end was quicker.
    pub(crate) classes: &'static [&'static str],
    /// The exit code.
    pub(crate) exit: i32,
    pub(crate) answers: Answers,
    pub(crate) sees: Sees,
    /// Flags beyond the defaults; `AUTHORITY` is the file with what to trust.
    pub(crate) flags: &'static str,
    /// Whether the run ends only when its requests have timed out.
    pub(crate) waits: bool,
    /// Whether arrivals may be dropped as `expired` besides: no connection came about for them.
    pub(crate) drops: bool,
    /// Whether connections are seen to end while nobody uses them.
    pub(crate) idle_ends: bool,
}

const TRUST: &str = "--cacert AUTHORITY";

/// A target that does nothing that is not allowed.
const fn right(behaviour: &'static str) -> Case {
    Case {
        behaviour,
        classes: &[],
        exit: 0,
        answers: All,
        sees: Every,
        flags: "",
        waits: false,
        drops: false,
        idle_ends: false,
    }
}

/// A target that answers nobody.
const fn wrong(behaviour: &'static str, classes: &'static [&'static str]) -> Case {
    Case { classes, exit: 11, answers: None, ..right(behaviour) }
}

/// A target whose every request times out.
const fn slow(behaviour: &'static str, classes: &'static [&'static str]) -> Case {
    Case { waits: true, ..wrong(behaviour, classes) }
}

/// A target that is sent no request, because no connection to it comes about.
const fn closed_door(behaviour: &'static str, classes: &'static [&'static str]) -> Case {
    Case { sees: Nothing, flags: TRUST, ..wrong(behaviour, classes) }
}

impl Case {
    const fn flags(self, flags: &'static str) -> Self {
        Self { flags, ..self }
    }

    const fn sees(self, sees: Sees) -> Self {
        Self { sees, ..self }
    }

    const fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    const fn drops(self) -> Self {
        Self { drops: true, ..self }
    }

    const fn idle_ends(self) -> Self {
        Self { idle_ends: true, ..self }
    }

    /// Some requests succeed, and others may not.
    const fn some(self, classes: &'static [&'static str]) -> Self {
        Self { classes, answers: Some, ..self }
    }
}

/// What an end of the connection amounts to: FIN, or RST when bytes of the request lay unread, before or after the
/// request was written.
const ENDED: &[&str] = &["closed_early", "reset", "broken_pipe"];
/// What RST amounts to.
const RESET: &[&str] = &["reset", "broken_pipe"];

pub(crate) const CASES: &[Case] = &[
    right("good"),
    // Silence.
    slow("mute", &["timeout_first_byte"]),
    slow("drip_header", &["timeout"]),
    slow("drip_body", &["timeout"]),
    slow("stalled_body", &["timeout"]),
    slow("held_open", &["timeout"]),
    right("slow_accept").some(&["timeout_first_byte"]).waits(),
    slow("full_backlog", &["connect_timeout", "timeout_first_byte"]).sees(Nothing).drops(),
    // Floods.
    slow("endless_chunked", &["body_limit", "timeout"]),
    wrong("endless_counted", &["body_limit"]),
    slow("endless_until_close", &["body_limit", "timeout"]),
    wrong("endless_header_line", &["head_limit"]),
    wrong("endless_header_lines", &["head_limit"]),
    wrong("header_bomb", &["head_limit"]),
    right("large_head"),
    wrong("interim_storm", &["interim_limit"]),
    right("interim_few"),
    wrong("extension_bomb", &["head_limit"]),
    wrong("trailer_bomb", &["head_limit"]),
    right("gzip_bomb"),
    // Framing.
    wrong("garbage_close", &["protocol"]),
    wrong("garbage_open", &["protocol"]),
    wrong("foreign_banner", &["protocol"]),
    wrong("foreign_frames", &["protocol"]),
    wrong("other_version", &["protocol"]),
    wrong("status_word", &["protocol"]),
    wrong("header_without_colon", &["desync"]),
    wrong("header_with_nul", &["protocol"]),
    wrong("folded_header", &["desync"]),
    wrong("switching_protocols", &["protocol"]),
    wrong("chunk_size_word", &["desync"]),
    wrong("chunk_size_negative", &["desync"]),
    wrong("chunk_size_empty", &["desync"]),
    wrong("chunk_size_huge", &["desync"]),
    wrong("chunk_too_long", &["desync"]),
    right("chunk_extension"),
    right("trailers"),
    wrong("length_and_encoding", &["desync"]),
    wrong("chunked_not_last", &["desync"]),
    wrong("two_lengths", &["desync"]),
    wrong("length_word", &["desync"]),
    wrong("second_response", &["desync"]),
    right("late_second_response").some(&["desync"]).idle_ends(),
    wrong("body_on_204", &["desync"]),
    wrong("body_on_304", &["desync"]),
    wrong("body_on_head", &["desync"]).flags("-X HEAD"),
    right("redirect_loop"),
    // Endings.
    wrong("close_at_accept", ENDED).sees(AtMost),
    wrong("close_after_request", &["closed_early"]),
    wrong("close_in_status", &["closed_early"]),
    wrong("close_in_head", &["closed_early"]),
    wrong("close_in_body", &["closed_early"]),
    wrong("close_in_chunk", &["closed_early"]),
    right("close_delimited"),
    right("announced_close"),
    wrong("fin_before_reply", &["closed_early"]),
    right("reply_then_fin").some(&["closed_early"]).idle_ends(),
    right("close_idle").some(ENDED).sees(AtMost).idle_ends(),
    wrong("reset_at_accept", RESET).sees(AtMost),
    wrong("reset_before_request", RESET).sees(AtMost),
    wrong("reset_in_request", RESET).sees(AtMost),
    wrong("reset_after_request", RESET),
    wrong("reset_in_status", RESET),
    wrong("reset_in_head", RESET),
    wrong("reset_in_body", RESET),
    right("reset_idle").some(RESET).sees(AtMost).idle_ends(),
    // TLS.
    right("tls_good").flags(TRUST),
    closed_door("tls_expired", &["tls_expired"]),
    closed_door("tls_not_yet_valid", &["tls_certificate"]),
    closed_door("tls_wrong_name", &["tls_name"]),
    closed_door("tls_self_signed", &["tls_unknown_issuer"]),
    closed_door("tls_unknown_authority", &["tls_unknown_issuer"]),
    right("tls_long_chain").flags(TRUST),
    closed_door("tls_huge_chain", &["tls_protocol"]),
    closed_door("tls_other_protocol", &["tls_alpn"]),
    closed_door("tls_asks_certificate", &["tls_alert"]),
    closed_door("tls_old_version", &["tls_version"]),
    closed_door("tls_old_alert", &["tls_version"]),
    closed_door("tls_refusal", &["tls_alert"]),
    closed_door("tls_stalled", &["tls_timeout"]).waits(),
    closed_door("tls_plain", &["tls_protocol"]),
    closed_door("tls_close_in_handshake", &["tls_closed"]),
    closed_door("tls_reset_in_handshake", &["reset", "broken_pipe"]),
    wrong("tls_forged_record", &["tls_protocol"]).flags(TRUST),
    right("tls_no_goodbye").flags(TRUST),
    wrong("tls_truncated", &["tls_closed"]).flags(TRUST),
    right("tls_goodbye").flags(TRUST),
    right("tls_drip").flags(TRUST),
    // One connection in ten.
    right("one_in_ten")
        .some(&[
            "reset",
            "broken_pipe",
            "closed_early",
            "protocol",
            "desync",
            "timeout",
            "timeout_first_byte",
            "interim_limit",
            "head_limit",
        ])
        .sees(AtMost)
        .waits(),
];
