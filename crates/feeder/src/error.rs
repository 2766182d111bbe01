//! What can be wrong with data, and with what is asked of it.
//!
//! Invariant: every message says where (if it is a place in the file), what is wrong and how to fix it, on one line.
//! Whoever knows the file's name puts it in front. Nothing from a field is repeated; column names are, except those of a
//! header row, which may be data if the header was forgotten.

use crate::position::Position;
use crate::rows::ROW_BYTES_MAX;

/// Why data, or what is asked of it, was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeederError {
    /// UTF-16, as some spreadsheets write it.
    #[error("line 1, column 1: the file is UTF-16 → save it as UTF-8")]
    Utf16,
    /// Some other encoding, or no text.
    #[error("{position}: the bytes are no UTF-8 → save the file as UTF-8 (iconv -f latin1 -t utf-8)")]
    NoUtf8 {
        /// The first byte that is wrong.
        position: Position,
    },
    /// Neither a header nor a row.
    #[error("the file is empty → give it a row, and a header row before it if it is CSV")]
    Empty,
    /// A header and nothing else.
    #[error("the file has no row of data → add one below the header row")]
    NoRow,
    /// A row without an end, or one that is no row.
    #[error("{position}: the row is longer than {} MiB → end it, or use smaller rows", ROW_BYTES_MAX >> 20)]
    RowTooLong {
        /// Where it begins.
        position: Position,
    },

    /// A column that cannot be asked for.
    #[error("column {number} of the data has no name → name every column")]
    UnnamedColumn {
        /// The column, from 1.
        number: usize,
    },
    /// Two columns of one name.
    #[error("columns {first} and {second} of the data have the same name → rename one")]
    SameName {
        /// The earlier column, from 1.
        first: usize,
        /// The later column, from 1.
        second: usize,
    },
    /// An empty list of columns, or a first object without members.
    #[error("the data has no column → name at least one")]
    NoColumn,
    /// A separator that is something else already.
    #[error("a quote or a line end cannot separate fields → a comma, a semicolon or a tab")]
    WrongDelimiter,

    /// A row of another width than the columns.
    #[error("{position}: the row has {found} fields instead of {expected} → {}", fields_fix(*found, *expected))]
    FieldCount {
        /// Where the row begins.
        position: Position,
        /// Fields that it has.
        found: usize,
        /// Columns that there are.
        expected: usize,
    },
    /// A quote that is never closed (RFC 4180 §2, 5).
    #[error(
        "{position}: the quote that begins the field is not closed → close it, and double quotes within (\"\")"
    )]
    OpenQuote {
        /// The quote.
        position: Position,
    },
    /// A quote in the middle of a field (RFC 4180 §2, 5).
    #[error(
        "{position}: a quote within a field without quotes → quote the whole field and double it (\"a \"\"b\"\" c\")"
    )]
    QuoteInside {
        /// The quote.
        position: Position,
    },
    /// A quoted field that goes on (RFC 4180 §2, 5 and 7).
    #[error(
        "{position}: text behind the closing quote of a field → double quotes within a field (\"a \"\"b\"\" c\")"
    )]
    TextBehindQuote {
        /// The first byte behind the quote.
        position: Position,
    },
    /// A carriage return that ends no line (RFC 4180 §2, 1 and 6).
    #[error(
        "{position}: a carriage return without a line feed → end lines with LF or CRLF, or quote the field"
    )]
    BareReturn {
        /// The carriage return.
        position: Position,
    },

    /// A line that is no JSON object (RFC 8259).
    #[error("{position}: {what} → {fix}")]
    Json {
        /// What is not as it must be.
        position: Position,
        /// What is wrong.
        what: &'static str,
        /// How to fix it.
        fix: &'static str,
    },
    /// An object without one of the columns.
    #[error("{position}: the object has no member {name:?} → add it, with null if there is no value")]
    MissingMember {
        /// Where the object begins.
        position: Position,
        /// The column.
        name: String,
    },
    /// An object with two values for a column.
    #[error("{position}: the member {name:?} is there twice → remove one")]
    SameMember {
        /// The second key.
        position: Position,
        /// The column.
        name: String,
    },

    /// Unique rows drawn at random, which may repeat.
    #[error("rows drawn at random repeat, so they are not unique → order: shuffled")]
    UniqueRandom,
    /// Unique rows that begin again at the end.
    #[error("rows that are repeated at the end are not unique → at-end: stop or fail")]
    UniqueRepeat,
    /// An end for rows that have none.
    #[error("rows drawn at random never end → at-end: repeat, or order: shuffled")]
    RandomEnd,
}

impl FeederError {
    /// The place in the file that is at fault, if it is one.
    pub const fn position(&self) -> Option<Position> {
        match self {
            Self::Utf16 => Some(Position { line: 1, column: 1 }),
            Self::NoUtf8 { position }
            | Self::RowTooLong { position }
            | Self::FieldCount { position, .. }
            | Self::OpenQuote { position }
            | Self::QuoteInside { position }
            | Self::TextBehindQuote { position }
            | Self::BareReturn { position }
            | Self::Json { position, .. }
            | Self::MissingMember { position, .. }
            | Self::SameMember { position, .. } => Some(*position),
            _ => None,
        }
    }

    /// Whether the policy contradicts itself, as opposed to the data being wrong.
    pub const fn is_contradiction(&self) -> bool {
        matches!(self, Self::UniqueRandom | Self::UniqueRepeat | Self::RandomEnd)
    }
}

const fn fields_fix(found: usize, expected: usize) -> &'static str {
    match (found, expected) {
        (1, _) => "separate its fields as the first row does",
        _ if found > expected => "quote a field that holds the separator, or name more columns",
        _ => "add the fields that are missing, empty if need be",
    }
}
