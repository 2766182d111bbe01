//! `options:` — what holds for the run as a whole, in the words of the flags.

use super::fields::{Fields, one_or_more, parsed};
use super::problem::Problems;
use super::profile::lasting;
use super::targets::own_host;
use super::tree::Node;
use crate::{CatchUp, Cores, Host, IoChoice, MaxLag, Pacing, Rate, parse_duration, parse_rate};

/// The keys of `options:`.
pub(crate) const OPTIONS_KEYS: [&str; 10] =
    ["duration", "warmup", "grace", "max-lag", "catch-up", "cores", "io", "pacing", "i-own", "rate-guard"];

/// What a plan says about the run as a whole; `None` where it says nothing, so that flags and defaults can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How long a workload lasts that does not say so itself.
    pub duration_ns: Option<u64>,
    /// Time in front that stays out of the results.
    pub warmup_ns: Option<u64>,
    /// How long open requests are waited for at the end.
    pub grace_ns: Option<u64>,
    /// Lateness from which the run is untrustworthy.
    pub max_lag: Option<MaxLag>,
    /// What becomes of arrivals that the generator is late for.
    pub catch_up: Option<CatchUp>,
    /// Which cores.
    pub cores: Option<Cores>,
    /// Which I/O driver.
    pub io: Option<IoChoice>,
    /// How shards wait.
    pub pacing: Option<Pacing>,
    /// Public hosts that somebody vouches for.
    pub own_hosts: Vec<Host>,
    /// Plans above this rate are refused.
    pub rate_guard: Option<Rate>,
}

/// Reads the options.
pub(crate) fn options(node: &Node, problems: &mut Problems) -> Option<Options> {
    let fields = Fields::of(node, "options", &OPTIONS_KEYS, problems)?;
    let own = fields.get("i-own").into_iter().flat_map(one_or_more);
    Some(Options {
        own_hosts: own.filter_map(|node| parsed(node, problems, own_host)).collect(),
        duration_ns: fields.parse("duration", problems, lasting),
        warmup_ns: fields.parse("warmup", problems, parse_duration),
        grace_ns: fields.parse("grace", problems, parse_duration),
        max_lag: fields.parse("max-lag", problems, MaxLag::parse),
        catch_up: fields.parse("catch-up", problems, CatchUp::parse),
        cores: fields.parse("cores", problems, Cores::parse),
        io: fields.parse("io", problems, IoChoice::parse),
        pacing: fields.parse("pacing", problems, Pacing::parse),
        rate_guard: fields.parse("rate-guard", problems, parse_rate),
    })
}
