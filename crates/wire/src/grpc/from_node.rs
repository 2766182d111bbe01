//! What a node tells, both ways.
//!
//! What it is: each message to its generated form, and back with every bound checked. What it is not: a judgement of whether
//! it fits the run.

use bytes::Bytes;
use clock::Timestamp;
use measure::Gauges;

use super::{generated as form, limits, node_message::Message, parts, prepared};
use crate::{
    Beat, Delta, Description, Finished, FromNode, Hello, LogLine, Measured, Prepared, Refusal, Resume,
    WireError, pack_counters, unpack_counters,
};

impl From<FromNode> for form::NodeMessage {
    fn from(message: FromNode) -> Self {
        let message = match message {
            FromNode::Hello(hello) => Message::Hello(hello.into()),
            FromNode::TimeReply { probe, received, replied } => Message::TimeReply(form::TimeReply {
                probe,
                received: received.as_nanos(),
                replied: replied.as_nanos(),
            }),
            FromNode::Prepared(prepared) => Message::Prepared((*prepared).into()),
            FromNode::Armed { run, epoch } => {
                Message::Armed(form::OfEpoch { run: parts::key_bytes(run), epoch })
            }
            FromNode::Declined { run, epoch, reason } => {
                Message::Declined(form::Declined { run: parts::key_bytes(run), epoch, reason })
            }
            FromNode::Obeyed { run, epoch } => {
                Message::Obeyed(form::OfEpoch { run: parts::key_bytes(run), epoch })
            }
            FromNode::Beat(beat) => Message::Beat(beat.into()),
            FromNode::Delta(delta) => Message::Delta((*delta).into()),
            FromNode::Finished(finished) => Message::Finished((*finished).into()),
            FromNode::Log(lines) => {
                Message::Log(form::Log { lines: lines.into_iter().map(form::LogLine::from).collect() })
            }
            FromNode::Bye { reason } => Message::Bye(form::Bye { reason }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<form::NodeMessage> for FromNode {
    type Error = WireError;

    fn try_from(message: form::NodeMessage) -> Result<Self, WireError> {
        Ok(match parts::present("message", message.message)? {
            Message::Hello(hello) => Self::Hello(hello.try_into()?),
            Message::TimeReply(reply) => Self::TimeReply {
                probe: reply.probe,
                received: Timestamp::from_nanos(reply.received),
                replied: Timestamp::from_nanos(reply.replied),
            },
            Message::Prepared(prepared) => Self::Prepared(Box::new(prepared.try_into()?)),
            Message::Armed(armed) => Self::Armed { run: parts::key("run", &armed.run)?, epoch: armed.epoch },
            Message::Declined(declined) => Self::Declined {
                run: parts::key("run", &declined.run)?,
                epoch: declined.epoch,
                reason: parts::text("reason", declined.reason, limits::TEXT_BYTES_MAX)?,
            },
            Message::Obeyed(obeyed) => {
                Self::Obeyed { run: parts::key("run", &obeyed.run)?, epoch: obeyed.epoch }
            }
            Message::Beat(beat) => Self::Beat(beat.try_into()?),
            Message::Delta(delta) => Self::Delta(Box::new(delta.try_into()?)),
            Message::Finished(finished) => Self::Finished(Box::new(finished.try_into()?)),
            Message::Log(log) => {
                let lines = parts::list("lines", log.lines, limits::LINES_MAX)?;
                Self::Log(lines.into_iter().map(LogLine::try_from).collect::<Result<_, _>>()?)
            }
            Message::Bye(bye) => {
                Self::Bye { reason: parts::text("reason", bye.reason, limits::TEXT_BYTES_MAX)? }
            }
        })
    }
}

impl From<Hello> for form::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            node: hello.node,
            incarnation: hello.incarnation,
            boot_id: hello.boot_id,
            host: hello.host,
            pid: hello.pid,
            version: hello.version,
            cores: hello.cores,
            capacity: hello.capacity.map(parts::rate_form),
            zone: hello.zone,
            labels: hello.labels,
            resume: hello.resume.map(|resume| form::Resume {
                run: parts::key_bytes(resume.run),
                fencing: Some(parts::fencing_form(resume.fencing)),
                start: resume.start.map(Timestamp::as_nanos),
                next_sequence: resume.next_sequence,
                fenced_at_ns: resume.fenced_at_ns,
            }),
            left_behind: hello.left_behind.into_iter().map(parts::key_bytes).collect(),
        }
    }
}

impl TryFrom<form::Hello> for Hello {
    type Error = WireError;

    fn try_from(hello: form::Hello) -> Result<Self, WireError> {
        let word = |field, given| parts::text(field, given, limits::WORD_BYTES_MAX);
        let resume = |resume: form::Resume| {
            Ok::<_, WireError>(Resume {
                run: parts::key("resume.run", &resume.run)?,
                fencing: parts::fencing(resume.fencing)?,
                start: resume.start.map(Timestamp::from_nanos),
                next_sequence: resume.next_sequence,
                fenced_at_ns: resume.fenced_at_ns,
            })
        };
        let left_behind = parts::list("left_behind", hello.left_behind, limits::LEFT_BEHIND_MAX)?;
        Ok(Self {
            node: word("node", hello.node)?,
            incarnation: hello.incarnation,
            boot_id: word("boot_id", hello.boot_id)?,
            host: word("host", hello.host)?,
            pid: hello.pid,
            version: word("version", hello.version)?,
            cores: hello.cores,
            capacity: hello.capacity.map(|given| parts::rate("capacity", Some(given))).transpose()?,
            zone: hello.zone.map(|zone| word("zone", zone)).transpose()?,
            labels: parts::labels("labels", hello.labels)?,
            resume: hello.resume.map(resume).transpose()?,
            left_behind: left_behind
                .iter()
                .map(|run| parts::key("left_behind", run))
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<Prepared> for form::Prepared {
    fn from(prepared: Prepared) -> Self {
        let outcome = match prepared.outcome {
            Ok(Description { names, summary }) => {
                prepared::Outcome::Description(form::Description { names: Some(names.into()), summary })
            }
            Err(Refusal { exit_code, message }) => {
                prepared::Outcome::Refusal(form::Refusal { exit_code: u32::from(exit_code), message })
            }
        };
        Self {
            run: parts::key_bytes(prepared.run),
            spec: Bytes::copy_from_slice(&prepared.spec),
            outcome: Some(outcome),
        }
    }
}

impl TryFrom<form::Prepared> for Prepared {
    type Error = WireError;

    fn try_from(prepared: form::Prepared) -> Result<Self, WireError> {
        let outcome = match parts::present("outcome", prepared.outcome)? {
            prepared::Outcome::Description(description) => {
                Ok(Description { names: parts::names(description.names)?, summary: description.summary })
            }
            prepared::Outcome::Refusal(refusal) => Err(Refusal {
                exit_code: u8::try_from(refusal.exit_code)
                    .map_err(|_| WireError::new("exit_code", "is too large"))?,
                message: parts::text("message", refusal.message, limits::TEXT_BYTES_MAX)?,
            }),
        };
        Ok(Self {
            run: parts::key("run", &prepared.run)?,
            spec: parts::digest("spec", &prepared.spec)?,
            outcome,
        })
    }
}

impl From<Beat> for form::Beat {
    fn from(beat: Beat) -> Self {
        Self {
            number: beat.number,
            sent_at: beat.sent_at.as_nanos(),
            run: beat.run.map(parts::key_bytes),
            epoch: beat.epoch,
            run_ns: beat.run_ns,
            fenced_at_ns: beat.fenced_at_ns,
            scheduled: beat.scheduled,
            sent: beat.sent,
            lag_p99_ns: beat.lag_p99_ns,
            unacknowledged: beat.unacknowledged,
            cpu_milli: beat.cpu_milli,
            leaving: beat.leaving,
        }
    }
}

impl TryFrom<form::Beat> for Beat {
    type Error = WireError;

    fn try_from(beat: form::Beat) -> Result<Self, WireError> {
        Ok(Self {
            number: beat.number,
            sent_at: Timestamp::from_nanos(beat.sent_at),
            run: parts::key_maybe("run", beat.run.as_ref())?,
            epoch: beat.epoch,
            run_ns: beat.run_ns,
            fenced_at_ns: beat.fenced_at_ns,
            scheduled: beat.scheduled,
            sent: beat.sent,
            lag_p99_ns: beat.lag_p99_ns,
            unacknowledged: beat.unacknowledged,
            cpu_milli: beat.cpu_milli,
            leaving: beat.leaving,
        })
    }
}

impl From<Delta> for form::Delta {
    fn from(delta: Delta) -> Self {
        Self {
            run: parts::key_bytes(delta.run),
            incarnation: delta.incarnation,
            sequence: delta.sequence,
            epoch: delta.epoch,
            second: delta.second,
            until_ns: delta.until_ns,
            measured: delta.measured.shared(),
            connections: delta.gauges.connections,
            in_flight: delta.gauges.in_flight,
            waiting: delta.gauges.waiting,
            recovered: delta.recovered,
        }
    }
}

impl TryFrom<form::Delta> for Delta {
    type Error = WireError;

    fn try_from(delta: form::Delta) -> Result<Self, WireError> {
        Ok(Self {
            run: parts::key("run", &delta.run)?,
            incarnation: delta.incarnation,
            sequence: delta.sequence,
            epoch: delta.epoch,
            second: delta.second,
            until_ns: delta.until_ns,
            measured: Measured::from_bytes(delta.measured)?,
            gauges: Gauges {
                connections: delta.connections,
                in_flight: delta.in_flight,
                waiting: delta.waiting,
            },
            recovered: delta.recovered,
        })
    }
}

impl From<Finished> for form::Finished {
    fn from(finished: Finished) -> Self {
        Self {
            run: parts::key_bytes(finished.run),
            incarnation: finished.incarnation,
            deltas: finished.deltas,
            counters: pack_counters(&finished.counters).into(),
            first_sent_ns: finished.first_sent_ns,
            summary: finished.summary,
        }
    }
}

impl TryFrom<form::Finished> for Finished {
    type Error = WireError;

    fn try_from(finished: form::Finished) -> Result<Self, WireError> {
        Ok(Self {
            run: parts::key("run", &finished.run)?,
            incarnation: finished.incarnation,
            deltas: finished.deltas,
            counters: unpack_counters(&finished.counters)?,
            first_sent_ns: finished.first_sent_ns,
            summary: finished.summary,
        })
    }
}

impl From<LogLine> for form::LogLine {
    fn from(line: LogLine) -> Self {
        let LogLine { number, unix_ns, run, text } = line;
        Self { number, unix_ns, run: run.map(parts::key_bytes), text }
    }
}

impl TryFrom<form::LogLine> for LogLine {
    type Error = WireError;

    fn try_from(line: form::LogLine) -> Result<Self, WireError> {
        Ok(Self {
            number: line.number,
            unix_ns: line.unix_ns,
            run: parts::key_maybe("run", line.run.as_ref())?,
            text: parts::text("text", line.text, limits::TEXT_BYTES_MAX)?,
        })
    }
}
