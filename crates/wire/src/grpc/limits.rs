//! Bounds of messages: what a stranger may ask to be kept.
//!
//! What it is: a number for each list and text. What it is not: what is sensible in a run, which is judged elsewhere.

/// The largest message that either side takes. A second of a thousand names with a thousand occupied buckets for each of
/// three latencies takes 9 MB.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How much of a file travels in one piece.
pub const FILE_PIECE_BYTES: usize = 64 << 10;

/// Names of nodes, hosts, zones, labels, versions.
pub(super) const WORD_BYTES_MAX: usize = 256;
/// Labels of a node, tags of a name.
pub(super) const LABELS_MAX: usize = 64;
/// Runs of which an earlier life left something behind.
pub(super) const LEFT_BEHIND_MAX: usize = 1_024;
/// Reasons and messages for people.
pub(super) const TEXT_BYTES_MAX: usize = 64 << 10;
/// Lines of a log in one message.
pub(super) const LINES_MAX: usize = 1_024;
/// Names of one kind.
pub(super) const NAMES_MAX: usize = 16_384;
/// The words of a command line, its variables, its files.
pub(super) const WORDS_MAX: usize = 65_536;
/// Changes of rate in one run.
pub(super) const RATES_MAX: usize = 65_536;
