//! Who may come in, what they may do and what they cost: each case from outside, over the wire, against a coordinator that
//! serves as it does for everybody.
//!
//! | case | what it is about | where |
//! |---|---|---|
//! | S1 | no token, a wrong, an old, a foreign or a called-back one; who listens where | `entry.rs` |
//! | S2 | nodes that tell what cannot be, or pose as others | `rogues.rs` |
//! | S3 | floods: connections, streams, heads, messages, logs, readers that do not read | `floods.rs` |
//! | S4 | names and contents of files that lead elsewhere | `files.rs` |
//! | S5 | hostile texts of nodes and plans | `texts.rs` |
//! | S6 | pages of others, names that only lead here | `pages.rs` |
//! | S7 | targets that are nobody's business | `reach.rs` |
//! | S8 | secrets in plans, headers, files and tokens | `secrets.rs` |
//! | S9 | messages of old, said again | `replays.rs` |
//! | | disks that are full, databases that others hold | `disks.rs` |
//!
//! With real nodes, S7, S8 and S9 go on in `tests/e2e/tests/ci/security.rs` and `engine/tests/node.rs`.

#![expect(clippy::unwrap_used, reason = "what a test itself needs is there, or the test ends")]

#[path = "../http/client.rs"]
#[expect(dead_code, reason = "its streams of events are of the other tests")]
mod client;
mod disks;
mod entry;
mod files;
mod floods;
mod pages;
mod reach;
mod replays;
mod rogue;
mod rogues;
mod secrets;
mod serving;
mod texts;
