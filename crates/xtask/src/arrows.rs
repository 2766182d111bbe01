//! Which crate may import which: the table of docs/architecture.md, as data.
//!
//! What it is: the allowed arrows between our packages, and the foreign packages that only one of ours may use.
//! What it is not: a judge of dev-dependencies; tests import what they like.

/// A package of ours and the packages of ours that it may import.
pub(crate) const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("schedule", &["clock"]),
    ("measure", &["clock"]),
    ("http1", &["clock"]),
    ("tls", &["clock"]),
    ("uring", &["clock"]),
    ("mapping", &[]),
    ("feeder", &[]),
    ("scenario", &["clock"]),
    ("plan", &["schedule", "scenario"]),
    ("verdict", &["plan", "measure"]),
    ("report", &["verdict", "measure", "plan"]),
    ("target", &["clock", "measure", "http1"]),
    ("wire", &["clock", "plan", "schedule", "measure"]),
    ("command", &["clock", "plan", "verdict"]),
    (
        "engine",
        &[
            "clock", "schedule", "measure", "http1", "tls", "uring", "plan", "scenario", "verdict", "report",
            "target", "mapping", "feeder", "wire", "command",
        ],
    ),
    ("coordinator", &["clock", "schedule", "measure", "plan", "verdict", "report", "wire", "command"]),
    ("executor-blazemeter", &["clock", "plan", "measure", "verdict", "report"]),
    ("xtask", &[]),
    // An own protocol, as a user of the library writes one.
    ("redis", &["engine"]),
    // For tests only: nothing of the product imports it.
    ("testkit", &[]),
    // These import anything; nothing imports them.
    ("benches", ANYTHING),
    ("perf", ANYTHING),
    ("e2e", &[]),
    ("fuzz", ANYTHING),
    ("sim", ANYTHING),
];

/// Marks a package that may import anything of ours.
pub(crate) const ANYTHING: &[&str] = &["*"];

/// Foreign packages and the only packages of ours that may use them directly.
pub(crate) const FENCED: &[(&str, &[&str])] = &[
    ("io-uring", &["uring", "perf"]),
    ("rustls", &["tls", "target", "testkit", "fuzz"]),
    ("monoio", &["perf"]),
    ("glommio", &["perf"]),
    ("libc", &["uring", "perf"]),
];

/// Foreign packages that must not be in the tree at all: one TLS crypto provider for everything.
pub(crate) const BANNED: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];

/// Packages whose libraries must not read files, open sockets or know tokio.
pub(crate) const PURE: &[&str] =
    &["schedule", "measure", "http1", "tls", "scenario", "plan", "verdict", "report", "feeder"];

/// What a pure package's sources must not name.
pub(crate) const IMPURE_WORDS: &[&str] =
    &["std::net::Tcp", "std::fs", "tokio", "std::thread", "Instant::now"];

/// Packages that may hold `unsafe` code: the ring; `mmap` and the slice over it; the floors that perf measures.
pub(crate) const UNSAFE: &[&str] = &["uring", "mapping", "perf"];
