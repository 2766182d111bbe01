//! Stages: a rate profile in one line, `30s:1000,1m:50000,30s:=1000`.
//!
//! Stages follow each other, separated by commas. Each says how long it lasts and which rate it leads to:
//!
//! * `30s:1000` changes the rate evenly, from the rate before it (0 at first) to 1,000 per second over 30 s;
//! * `30s:=1000` steps to 1,000 per second at once and holds it for 30 s;
//! * `0s:1000` jumps to 1,000 per second and lasts no time: the next stage starts from there.

use schedule::{Phase, Profile, Rate};

use crate::duration::parse_duration;
use crate::rate::parse_rate;
use crate::text::quoted;
use crate::{LONGEST_DURATION_NS, PlanError};

/// Most stages that a plan may have.
const MOST_STAGES: usize = 1_000;

/// Reads stages into a rate profile.
pub fn parse_stages(text: &str) -> Result<Profile, PlanError> {
    if text.is_empty() {
        return Err(PlanError::new("the stages are empty: is a variable unset?", "e.g. 30s:1000,1m:50000"));
    }
    let mut phases = Vec::new();
    let mut from = Rate::ZERO;
    let mut total_ns: u64 = 0;
    let mut offset = 0;
    for (count, stage) in text.split(',').enumerate() {
        let stage_offset = offset;
        offset += stage.len() + 1;
        let at_stage = |error: PlanError| error.at_offset(text, stage_offset);
        if count == MOST_STAGES {
            return Err(at_stage(PlanError::new("there are more than 1000 stages", "fewer, longer stages")));
        }
        let (duration_ns, step, to) = parse_stage(text, stage, stage_offset).map_err(at_stage)?;
        total_ns = total_ns.saturating_add(duration_ns);
        if total_ns > LONGEST_DURATION_NS {
            return Err(at_stage(PlanError::new("the stages together are too long", "at most 366d")));
        }
        if duration_ns > 0 {
            phases.push(Phase { duration_ns, from: if step { to } else { from }, to });
        }
        from = to;
    }
    Profile::new(phases).map_err(|error| {
        PlanError::new(
            format!("the stages {} make no profile: {error}", quoted(text)),
            "e.g. 30s:1000,1m:50000",
        )
    })
}

/// Reads one stage: how long, whether it steps, and the rate it leads to.
fn parse_stage(text: &str, stage: &str, stage_offset: usize) -> Result<(u64, bool, Rate), PlanError> {
    let stage_is = |what: &str| format!("stage {} {what}", quoted(stage));
    if stage.is_empty() {
        return Err(PlanError::new("a stage is empty", "stages like 30s:1000, one comma between two"));
    }
    let Some((duration, rate)) = stage.split_once(':') else {
        let fix = if stage.contains('=') {
            stage.replace('=', ":=")
        } else {
            format!("DURATION:RATE, e.g. {stage}:1000")
        };
        return Err(PlanError::new(stage_is("has no rate"), fix));
    };
    let duration_ns = match parse_duration(duration) {
        Ok(ns) => ns,
        // 1000:30s says the same the other way round.
        Err(_) if parse_rate(duration).is_ok() && parse_duration(rate).is_ok_and(|ns| ns > 0) => {
            return Err(PlanError::new(stage_is("is the wrong way round"), format!("{rate}:{duration}")));
        }
        Err(error) => return Err(error.at_offset(text, stage_offset)),
    };
    let (step, rate_offset) = match rate.strip_prefix('=') {
        Some(_) => (true, duration.len() + 2),
        None => (false, duration.len() + 1),
    };
    let rate = &stage[rate_offset..];
    if rate.is_empty() {
        return Err(PlanError::new(stage_is("has no rate"), format!("{duration}:1000")));
    }
    let to = parse_rate(rate).map_err(|error| error.at_offset(text, stage_offset + rate_offset))?;
    Ok((duration_ns, step, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn phase(seconds: u64, from: u64, to: u64) -> Phase {
        Phase { duration_ns: seconds * S, from: Rate::per_second(from), to: Rate::per_second(to) }
    }

    #[test]
    fn right_stages() {
        for (text, phases) in [
            ("30s:1000", vec![phase(30, 0, 1_000)]),
            ("30s:1000,1m:50000", vec![phase(30, 0, 1_000), phase(60, 1_000, 50_000)]),
            ("30s:=1000", vec![phase(30, 1_000, 1_000)]),
            ("10s:=100,10s:200,10s:=50", vec![phase(10, 100, 100), phase(10, 100, 200), phase(10, 50, 50)]),
            ("0s:500,1m:1k", vec![phase(60, 500, 1_000)]),
            ("1m:6k/m,1m:0", vec![phase(60, 0, 100), phase(60, 100, 0)]),
        ] {
            let profile = parse_stages(text).expect(text);
            assert_eq!(profile.phases(), phases, "{text}");
        }
    }

    #[test]
    fn wrong_stages_say_where_and_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is a variable unset?"),
            ("30s", "column 1: stage \"30s\" has no rate → DURATION:RATE, e.g. 30s:1000"),
            ("30s=1000", "→ 30s:=1000"),
            ("30s:1000,", "column 10: a stage is empty"),
            (",30s:1000", "column 1: a stage is empty"),
            ("30s:1000,,1m:5", "column 10: a stage is empty"),
            ("30:1000", "column 1: \"30\" has no unit → 30s"),
            ("1000:30s", "wrong way round → 30s:1000"),
            ("30s:", "has no rate → 30s:1000"),
            ("30s:=", "has no rate"),
            ("30s:10x", "column 5: \"10x\" is not a rate"),
            ("10s:5,30s:=10x", "column 12: \"10x\" is not a rate"),
            ("30s:1000;1m:5", "is not a rate"),
            ("30s:1000, 1m:5", "is not a duration"),
            ("0s:1000", "make no profile"),
            ("200d:1,200d:2", "together are too long"),
            ("30s:-5", "0 or more"),
        ] {
            let message = parse_stages(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
        let many = vec!["1s:1"; MOST_STAGES + 1].join(",");
        assert!(parse_stages(&many).expect_err("many").to_string().contains("more than 1000"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in "[0-9smhkM:=,./ä-]{0,40}") {
            let _ = parse_stages(&text);
        }
    }
}
