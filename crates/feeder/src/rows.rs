//! A table over the bytes of a file: its columns, and where its rows begin.

use std::fmt;

use crate::csv::{self, Csv};
use crate::error::FeederError;
use crate::field::Field;
use crate::jsonl::{self, Members};
use crate::offsets::{Offsets, STEP_BYTES_MAX};
use crate::position::{BYTE_ORDER_MARK, Position};
use crate::utf8::Utf8;

/// The longest row, so that a quote that is never closed is not looked for through gigabytes.
pub const ROW_BYTES_MAX: usize = 16 << 20;

/// How a file is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180; line ends may be CRLF or LF, and lines without a byte do not count.
    Csv {
        /// What separates fields: a comma, as a rule.
        delimiter: u8,
    },
    /// A JSON object on each line; blank lines do not count.
    Jsonl,
}

/// A row's number in the file, from 0; a header row does not count.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowIndex(pub u64);

/// A column's number, from 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnIndex(usize);

/// A table over bytes, which may be borrowed (`&[u8]`), owned (`Vec<u8>`) or a mapped file.
pub struct Rows<B> {
    bytes: B,
    format: Format,
    columns: Vec<String>,
    offsets: Offsets,
}

/// One row.
#[derive(Copy, Clone)]
pub struct Row<'a> {
    bytes: &'a [u8],
    format: Format,
    columns: &'a [String],
}

impl<B: AsRef<[u8]>> Rows<B> {
    /// Reads a file: checks every row, and keeps where each begins.
    ///
    /// With `columns` a CSV file has no header row; without, its first row names them. The columns of a JSONL file are
    /// the members that are named, or those of its first object; every object must have them, in any order, and may have
    /// others.
    pub fn read(bytes: B, format: Format, columns: Option<Vec<String>>) -> Result<Self, FeederError> {
        let data = bytes.as_ref();
        if data.starts_with(b"\xff\xfe") || data.starts_with(b"\xfe\xff") {
            return Err(FeederError::Utf16);
        }
        let start = if data.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut reading = Reading {
            data,
            at: start,
            columns: Vec::new(),
            utf8: Utf8::default(),
            offsets: Offsets::default(),
        };
        if let Some(columns) = columns {
            reading.name(columns)?;
        }
        match format {
            Format::Csv { delimiter: b'"' | b'\r' | b'\n' } => return Err(FeederError::WrongDelimiter),
            Format::Csv { delimiter } => reading.csv(Csv { bytes: data, delimiter })?,
            Format::Jsonl => reading.jsonl()?,
        }
        let Reading { columns, mut offsets, .. } = reading;
        match (offsets.count(), columns.is_empty()) {
            (0, true) => return Err(FeederError::Empty),
            (0, false) => return Err(FeederError::NoRow),
            _ => offsets.shrink(),
        }
        Ok(Self { bytes, format, columns, offsets })
    }

    /// How many rows there are; at least one.
    pub const fn count(&self) -> u64 {
        self.offsets.count() as u64
    }

    /// The names of the columns, in their order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (ColumnIndex, &str)> {
        self.columns.iter().enumerate().map(|(index, name)| (ColumnIndex(index), name.as_str()))
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<ColumnIndex> {
        self.columns.iter().position(|column| column == name).map(ColumnIndex)
    }

    /// The row with this number.
    ///
    /// # Panics
    /// When there is none.
    #[inline]
    pub fn row(&self, index: RowIndex) -> Row<'_> {
        let number = usize::try_from(index.0).unwrap_or(usize::MAX);
        let start =
            self.offsets.offset(number).expect("Invariant: a row's number is below the count of rows");
        let bytes = self.bytes.as_ref();
        let end = self.offsets.offset(number + 1).unwrap_or(bytes.len());
        Row { bytes: &bytes[start..end], format: self.format, columns: &self.columns }
    }

    /// Memory that the index takes, in bytes.
    pub const fn index_bytes(&self) -> usize {
        self.offsets.size()
    }
}

impl<'a> Row<'a> {
    /// The row's value in a column of its table.
    #[inline]
    pub fn field(&self, column: ColumnIndex) -> Field<'a> {
        match self.format {
            Format::Csv { delimiter } => csv::field(self.bytes, delimiter, column.0),
            Format::Jsonl => jsonl::field(self.bytes, self.columns[column.0].as_bytes()),
        }
    }
}

/// A file on its way to a table.
struct Reading<'a> {
    data: &'a [u8],
    /// Behind the last row.
    at: usize,
    columns: Vec<String>,
    utf8: Utf8,
    offsets: Offsets,
}

impl Reading<'_> {
    fn csv(&mut self, csv: Csv<'_>) -> Result<(), FeederError> {
        loop {
            let start = csv.skip_empty_lines(self.at);
            if start == self.data.len() {
                return Ok(());
            }
            let row = csv.row(start)?;
            if self.columns.is_empty() {
                self.utf8.check(self.data, row.end)?;
                let header = &self.data[start..row.end];
                let name = |column| {
                    String::from_utf8_lossy(&csv::field(header, csv.delimiter, column).text()).into_owned()
                };
                self.name((0..row.field_count).map(name).collect())?;
                self.at = row.end;
                continue;
            }
            let (found, expected) = (row.field_count, self.columns.len());
            if found != expected {
                return Err(FeederError::FieldCount { position: csv.position(start), found, expected });
            }
            self.push(start, row.end)?;
        }
    }

    fn jsonl(&mut self) -> Result<(), FeederError> {
        // For each column the row, from 1, in which it was seen last.
        let mut seen = vec![0; self.columns.len()];
        while let Some((start, end)) = jsonl::next_line(self.data, self.at)? {
            self.utf8.check(self.data, end)?;
            if self.columns.is_empty() {
                self.name_by_first_object(start, end)?;
                seen = vec![0; self.columns.len()];
            }
            let row = self.offsets.count() + 1;
            let mut members = Members::new(self.data, start, end)?;
            // Objects usually have their members in the same order: the next column is looked at first.
            let mut next = 0;
            while let Some((key, at)) = members.next()? {
                let order = (next..self.columns.len()).chain(0..next);
                let mut order = order.filter(|column| jsonl::names(key, self.columns[*column].as_bytes()));
                let Some(column) = order.next() else { continue };
                if seen[column] == row {
                    let (position, name) = (Position::of(self.data, at), self.columns[column].clone());
                    return Err(FeederError::SameMember { position, name });
                }
                seen[column] = row;
                next = column + 1;
            }
            if let Some(column) = seen.iter().position(|seen| *seen != row) {
                let (position, name) = (Position::of(self.data, start), self.columns[column].clone());
                return Err(FeederError::MissingMember { position, name });
            }
            self.push(start, end)?;
        }
        Ok(())
    }

    fn name_by_first_object(&mut self, start: usize, end: usize) -> Result<(), FeederError> {
        let mut members = Members::new(self.data, start, end)?;
        let mut columns: Vec<String> = Vec::new();
        while let Some((key, at)) = members.next()? {
            let name = String::from_utf8_lossy(&key.text()).into_owned();
            if columns.contains(&name) {
                return Err(FeederError::SameMember { position: Position::of(self.data, at), name });
            }
            columns.push(name);
        }
        self.name(columns)
    }

    fn name(&mut self, columns: Vec<String>) -> Result<(), FeederError> {
        if columns.is_empty() {
            return Err(FeederError::NoColumn);
        }
        for (index, name) in columns.iter().enumerate() {
            if name.is_empty() {
                return Err(FeederError::UnnamedColumn { number: index + 1 });
            }
            if let Some(first) = columns[..index].iter().position(|earlier| earlier == name) {
                return Err(FeederError::SameName { first: first + 1, second: index + 1 });
            }
        }
        self.columns = columns;
        Ok(())
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize) -> Result<(), FeederError> {
        // Empty lines before a row count as its own, so that offsets stay near each other.
        if end - self.at > STEP_BYTES_MAX / 2 {
            return Err(FeederError::RowTooLong { position: Position::of(self.data, start) });
        }
        self.utf8.check(self.data, end)?;
        self.offsets.push(start);
        self.at = end;
        Ok(())
    }
}

/// Sizes and names; no data.
impl<B> fmt::Debug for Rows<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Rows");
        shown.field("count", &self.offsets.count()).field("format", &self.format);
        shown.field("column_count", &self.columns.len()).finish_non_exhaustive()
    }
}

/// The size alone: the data may be secret.
impl fmt::Debug for Row<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Row({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
