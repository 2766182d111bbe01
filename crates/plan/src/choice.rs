//! Choices between a few words: catch-up policy, pacing, arrival process, I/O driver, addresses of a name, TLS version.

use crate::PlanError;
use crate::text::quoted;

/// Reads one of `words`.
fn choose<T: Copy>(text: &str, noun: &str, words: &[(&str, T)]) -> Result<T, PlanError> {
    if let Some(&(_, choice)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(choice);
    }
    let known: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
    Err(PlanError::new(format!("{} is not {noun}", quoted(text)), format!("one of {}", known.join(", "))))
}

/// What becomes of arrivals that the generator is late for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// They are sent at once and keep their intended times.
    #[default]
    Burst,
    /// They are sent at no more than twice the rate.
    Smooth,
    /// They are dropped, as `late`.
    Skip,
}

impl CatchUp {
    /// Reads `burst`, `smooth` or `skip`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        choose(
            text,
            "a way to catch up",
            &[("burst", Self::Burst), ("smooth", Self::Smooth), ("skip", Self::Skip)],
        )
    }
}

/// How a shard waits for the next arrival.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// It sleeps to absolute times, within a stated bound.
    #[default]
    Sleep,
    /// It never sleeps: exact, at the price of a whole core.
    Spin,
}

impl Pacing {
    /// Reads `sleep` or `spin`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        choose(text, "a way to pace", &[("sleep", Self::Sleep), ("spin", Self::Spin)])
    }
}

/// The law that spaces arrivals, before its seed is known.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum ProcessKind {
    /// Evenly spaced.
    #[default]
    Constant,
    /// At random, independently of each other.
    Poisson,
}

impl ProcessKind {
    /// Reads `constant` or `poisson`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        choose(text, "an arrival process", &[("constant", Self::Constant), ("poisson", Self::Poisson)])
    }
}

/// Which I/O driver the shards use.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// The ring where the kernel allows it, else epoll.
    #[default]
    Auto,
    /// The ring, or nothing.
    Uring,
    /// Epoll.
    Epoll,
}

impl IoChoice {
    /// Reads `auto`, `uring` or `epoll`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        choose(text, "an I/O driver", &[("auto", Self::Auto), ("uring", Self::Uring), ("epoll", Self::Epoll)])
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// Which of the addresses that a name resolves to are loaded.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Dns {
    /// All that this host has a route to; of a name that means this machine alone, the first that answers.
    #[default]
    Auto,
    /// All.
    All,
    /// The first that answers.
    First,
    /// All IPv4 addresses.
    V4,
    /// All IPv6 addresses.
    V6,
}

impl Dns {
    /// Reads `auto`, `all`, `first`, `4` or `6`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let words = [
            ("auto", Self::Auto),
            ("all", Self::All),
            ("first", Self::First),
            ("4", Self::V4),
            ("6", Self::V6),
        ];
        choose(text, "a choice of addresses", &words)
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::All => "all",
            Self::First => "first",
            Self::V4 => "4",
            Self::V6 => "6",
        }
    }
}

/// A version of TLS that the engine speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// Reads `1.2` or `1.3`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        choose(text, "a TLS version", &[("1.2", Self::V1_2), ("1.3", Self::V1_3)])
    }
}

/// Reads `true` or `false`, as environment variables spell a flag.
pub fn parse_switch(text: &str) -> Result<bool, PlanError> {
    let words = [
        ("true", true),
        ("1", true),
        ("yes", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("off", false),
    ];
    choose(text, "a switch", &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_and_wrong_ones_are_answered_with_the_right_ones() {
        assert_eq!(CatchUp::parse("smooth"), Ok(CatchUp::Smooth));
        assert_eq!(Pacing::parse("spin"), Ok(Pacing::Spin));
        assert_eq!(ProcessKind::parse("poisson"), Ok(ProcessKind::Poisson));
        assert_eq!(IoChoice::parse("epoll"), Ok(IoChoice::Epoll));
        assert_eq!(TlsVersion::parse("1.2"), Ok(TlsVersion::V1_2));
        for dns in [Dns::Auto, Dns::All, Dns::First, Dns::V4, Dns::V6] {
            assert_eq!(Dns::parse(dns.name()), Ok(dns));
        }
        assert_eq!(parse_switch("on"), Ok(true));
        for (message, fragment) in [
            (
                CatchUp::parse("hurry").map(|_| ()),
                "\"hurry\" is not a way to catch up → one of burst, smooth, skip",
            ),
            (Pacing::parse("").map(|_| ()), "one of sleep, spin"),
            (ProcessKind::parse("Poisson").map(|_| ()), "one of constant, poisson"),
            (IoChoice::parse("io_uring").map(|_| ()), "one of auto, uring, epoll"),
            (Dns::parse("ipv4").map(|_| ()), "one of auto, all, first, 4, 6"),
            (TlsVersion::parse("1.1").map(|_| ()), "one of 1.2, 1.3"),
            (parse_switch("maybe").map(|_| ()), "one of true, 1"),
        ] {
            let message = message.expect_err(fragment).to_string();
            assert!(message.contains(fragment), "{message}");
        }
    }
}
