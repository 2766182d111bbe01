//! What the coordinator tells a node, both ways.
//!
//! What it is: each message to its generated form, and back with every bound checked: a node trusts its coordinator with its
//! load, not with its memory. What it is not: a judgement of whether it fits the run.

use clock::Timestamp;
use schedule::Rate;

use super::{coordinator_message::Message, generated as form, limits, parts};
use crate::{ToNode, Welcome, WireError};

impl From<ToNode> for form::CoordinatorMessage {
    fn from(message: ToNode) -> Self {
        let message = match message {
            ToNode::Welcome(welcome) => Message::Welcome(welcome.into()),
            ToNode::Refused { reason } => Message::Refused(form::Refused { reason }),
            ToNode::TimeProbe { probe } => Message::TimeProbe(form::TimeProbe { probe }),
            ToNode::Prepare { run, fencing, spec } => Message::Prepare(form::Prepare {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
                spec: Some((*spec).into()),
            }),
            ToNode::Arm { run, fencing, start, from_ns, cells, rates } => Message::Arm(form::Arm {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
                start: start.as_nanos(),
                from_ns,
                cells: Some(parts::cells_form(&cells)),
                rates: rates.into_iter().map(change_form).collect(),
            }),
            ToNode::Assign { run, fencing, from_ns, cells } => Message::Assign(form::Assign {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
                from_ns,
                cells: Some(parts::cells_form(&cells)),
            }),
            ToNode::SetRate { run, fencing, workload, from_ns, rate } => Message::SetRate(form::SetRate {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
                change: Some(change_form((workload, from_ns, rate))),
            }),
            ToNode::Grant { beat, lease_ns } => Message::Grant(form::Grant { beat, lease_ns }),
            ToNode::Acknowledged { run, incarnation, through } => {
                Message::Acknowledged(form::Acknowledged { run: parts::key_bytes(run), incarnation, through })
            }
            ToNode::Stop { run, fencing } => Message::Stop(form::Stop {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
            }),
            ToNode::Abort { run, fencing, reason } => Message::Abort(form::Abort {
                run: parts::key_bytes(run),
                fencing: Some(parts::fencing_form(fencing)),
                reason,
            }),
            ToNode::Release { run } => Message::Release(form::Release { run: parts::key_bytes(run) }),
            ToNode::Retire { exit } => Message::Retire(form::Retire { exit }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<form::CoordinatorMessage> for ToNode {
    type Error = WireError;

    fn try_from(message: form::CoordinatorMessage) -> Result<Self, WireError> {
        let text = |field, given| parts::text(field, given, limits::TEXT_BYTES_MAX);
        Ok(match parts::present("message", message.message)? {
            Message::Welcome(welcome) => Self::Welcome(welcome.try_into()?),
            Message::Refused(refused) => Self::Refused { reason: text("reason", refused.reason)? },
            Message::TimeProbe(probe) => Self::TimeProbe { probe: probe.probe },
            Message::Prepare(prepare) => Self::Prepare {
                run: parts::key("run", &prepare.run)?,
                fencing: parts::fencing(prepare.fencing)?,
                spec: Box::new(parts::spec(prepare.spec)?),
            },
            Message::Arm(arm) => Self::Arm {
                run: parts::key("run", &arm.run)?,
                fencing: parts::fencing(arm.fencing)?,
                start: Timestamp::from_nanos(arm.start),
                from_ns: arm.from_ns,
                cells: parts::cells(arm.cells)?,
                rates: parts::list("rates", arm.rates, limits::RATES_MAX)?
                    .into_iter()
                    .map(change)
                    .collect::<Result<_, _>>()?,
            },
            Message::Assign(assign) => Self::Assign {
                run: parts::key("run", &assign.run)?,
                fencing: parts::fencing(assign.fencing)?,
                from_ns: assign.from_ns,
                cells: parts::cells(assign.cells)?,
            },
            Message::SetRate(set_rate) => {
                let (workload, from_ns, rate) = change(parts::present("change", set_rate.change)?)?;
                let (run, fencing) = (parts::key("run", &set_rate.run)?, parts::fencing(set_rate.fencing)?);
                Self::SetRate { run, fencing, workload, from_ns, rate }
            }
            Message::Grant(grant) => Self::Grant { beat: grant.beat, lease_ns: grant.lease_ns },
            Message::Acknowledged(kept) => Self::Acknowledged {
                run: parts::key("run", &kept.run)?,
                incarnation: kept.incarnation,
                through: kept.through,
            },
            Message::Stop(stop) => {
                Self::Stop { run: parts::key("run", &stop.run)?, fencing: parts::fencing(stop.fencing)? }
            }
            Message::Abort(abort) => Self::Abort {
                run: parts::key("run", &abort.run)?,
                fencing: parts::fencing(abort.fencing)?,
                reason: text("reason", abort.reason)?,
            },
            Message::Release(release) => Self::Release { run: parts::key("run", &release.run)? },
            Message::Retire(retire) => Self::Retire { exit: retire.exit },
        })
    }
}

impl From<Welcome> for form::Welcome {
    fn from(welcome: Welcome) -> Self {
        let Welcome { term, session, version, lease_ns, beat_ns, resume } = welcome;
        Self { term, session, version, lease_ns, beat_ns, resume }
    }
}

impl TryFrom<form::Welcome> for Welcome {
    type Error = WireError;

    fn try_from(welcome: form::Welcome) -> Result<Self, WireError> {
        let form::Welcome { term, session, version, lease_ns, beat_ns, resume } = welcome;
        let version = parts::text("version", version, limits::WORD_BYTES_MAX)?;
        Ok(Self { term, session, version, lease_ns, beat_ns, resume })
    }
}

fn change_form((workload, from_ns, rate): (Option<String>, u64, Rate)) -> form::RateChange {
    form::RateChange { workload, from_ns, rate: Some(parts::rate_form(rate)) }
}

fn change(given: form::RateChange) -> Result<(Option<String>, u64, Rate), WireError> {
    Ok((given.workload, given.from_ns, parts::rate("rate", given.rate)?))
}
