//! Rows of data files, and which slot of the schedule gets which.
//!
//! What it is: [`Rows`] is a table over the bytes of a CSV or JSONL file. Reading it checks every row once and keeps where
//! each begins; a field is then found in the file's own bytes and copied nowhere. [`Feeder`] hands a row to each slot: in
//! order, shuffled or at random, by arithmetic alone.
//! What it is not: a reader of files (it is handed bytes: a slice, a vector, a mapped file), and no counter that somebody
//! advances. Nothing is drawn or taken; the same slot gets the same row, whoever asks and however often.
//!
//! Invariants:
//! - Which row a slot gets follows from the slot, the [`Policy`] and the number of rows. Slots are split over shards,
//!   shares and nodes without overlap, so with a unique policy no two of them ever use the same row.
//! - After [`Rows::read`] every field of every row can be read: what is malformed was refused, with its line and column.
//! - Bytes that change under a mapped file give wrong fields, or empty ones, and never a panic.
//! - No message repeats what stands in a field.
//!
//! Units: bytes, and rows counted from 0. The index takes 4⅛ bytes for each row (41.25 MB for 10 million), and while it is
//! built at most twice that.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod csv;
mod error;
mod field;
mod json;
mod jsonl;
mod mix;
mod offsets;
mod permutation;
mod policy;
mod position;
mod rows;
mod utf8;

pub use error::FeederError;
pub use field::Field;
pub use mix::seed_for;
pub use policy::{AtEnd, Feeder, Order, Policy};
pub use position::Position;
pub use rows::{ColumnIndex, Format, ROW_BYTES_MAX, Row, RowIndex, Rows};

#[cfg(test)]
mod proptest_config;
