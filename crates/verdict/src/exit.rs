//! Exit codes of the three programs, and which one wins when several apply.
//!
//! What it is: the only list of exit codes. What it is not: a place that decides; [`crate::judge`] does.
//!
//! Invariant: the numbers are a contract with scripts; they are never reused for another meaning.

/// How a program ends. Ordered by nothing; see [`ExitCode::first_of`] for which code wins.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExitCode {
    /// 0: everything that was asked for holds.
    Passed,
    /// 1: internal failure.
    Internal,
    /// 2: usage error or invalid plan; nothing was started.
    Usage,
    /// 3: the environment refuses: descriptors, ring with `--io uring`, port in use, coordinator unreachable.
    Environment,
    /// 4: refused by a safety rail: target not allowed, rate above the guard.
    Refused,
    /// 10: a threshold failed.
    ThresholdFailed,
    /// 11: every request failed: the target is dead or the wrong one.
    EveryRequestFailed,
    /// 12: the generator was late or dropped by its own fault, or part of the load was never assigned.
    Untrustworthy,
    /// 13: the audit does not add up.
    AuditMismatch,
    /// 14: a report could not be written.
    ReportNotWritten,
    /// 15: the target could not take the load: arrivals were dropped waiting for it.
    TargetOverloaded,
    /// 16: regression against a baseline.
    Regression,
    /// 17: the managed service refused or was lost, where it was required.
    ServiceLost,
    /// 130: interrupted by SIGINT, or aborted over the control socket; the report was written.
    Interrupted,
    /// 143: terminated by SIGTERM; the report was written.
    Terminated,
}

/// The order in which codes win: those under which nothing started, then what spoils the result, then what
/// the result says.
const PRECEDENCE: [ExitCode; 15] = [
    ExitCode::Usage,
    ExitCode::Environment,
    ExitCode::Refused,
    ExitCode::Internal,
    ExitCode::AuditMismatch,
    ExitCode::Interrupted,
    ExitCode::Terminated,
    ExitCode::Untrustworthy,
    ExitCode::EveryRequestFailed,
    ExitCode::TargetOverloaded,
    ExitCode::ThresholdFailed,
    ExitCode::Regression,
    ExitCode::ServiceLost,
    ExitCode::ReportNotWritten,
    ExitCode::Passed,
];

impl ExitCode {
    /// Every code, the one that wins over all others first.
    pub const ALL: &'static [Self] = &PRECEDENCE;

    /// The number that the operating system is told.
    pub const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Refused => 4,
            Self::ThresholdFailed => 10,
            Self::EveryRequestFailed => 11,
            Self::Untrustworthy => 12,
            Self::AuditMismatch => 13,
            Self::ReportNotWritten => 14,
            Self::TargetOverloaded => 15,
            Self::Regression => 16,
            Self::ServiceLost => 17,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The code with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|exit| exit.code() == code)
    }

    /// What the code says, in a few words, for help texts and reports.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Internal => "internal failure",
            Self::Usage => "usage error or invalid plan",
            Self::Environment => "the environment refuses",
            Self::Refused => "refused by a safety rail",
            Self::ThresholdFailed => "a threshold failed",
            Self::EveryRequestFailed => "every request failed",
            Self::Untrustworthy => "untrustworthy: the generator was at fault",
            Self::AuditMismatch => "the audit does not add up",
            Self::ReportNotWritten => "a report could not be written",
            Self::TargetOverloaded => "the target could not take the load",
            Self::Regression => "regression against the baseline",
            Self::ServiceLost => "the managed service refused or was lost",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// The code that wins among those that apply; [`ExitCode::Passed`] when none does.
    pub fn first_of(codes: impl IntoIterator<Item = Self>) -> Self {
        codes.into_iter().min_by_key(|exit| exit.rank()).unwrap_or(Self::Passed)
    }

    /// Place in the precedence; 0 wins over everything.
    pub(crate) fn rank(self) -> usize {
        PRECEDENCE.iter().position(|&exit| exit == self).expect("every code has a place in the precedence")
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_one_that_is_documented() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(numbers, [2, 3, 4, 1, 13, 130, 143, 12, 11, 15, 10, 16, 17, 14, 0]);
    }

    #[test]
    fn every_pair_resolves_to_the_earlier_one_whatever_its_order() {
        for (place, &winner) in ExitCode::ALL.iter().enumerate() {
            for &loser in &ExitCode::ALL[place..] {
                assert_eq!(ExitCode::first_of([winner, loser]), winner);
                assert_eq!(ExitCode::first_of([loser, winner]), winner);
            }
        }
        assert_eq!(ExitCode::first_of([]), ExitCode::Passed);
    }

    #[test]
    fn numbers_lead_back_to_their_codes() {
        for &exit in ExitCode::ALL {
            assert_eq!(ExitCode::from_code(exit.code()), Some(exit));
            assert!(!exit.meaning().is_empty());
        }
        assert_eq!(ExitCode::from_code(5), None);
    }
}
