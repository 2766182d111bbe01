//! Data files, beside other readers of the same formats.

use feeder::{FeederError, Format, RowIndex, Rows};
use serde_json::{Map, Value};

const SEMICOLON: u8 = 1;
const NAMED: u8 = 2;

/// The input: a byte of flags (fields are separated by semicolons; two columns are named and there is no header), and the
/// file. What is accepted is the table that the crate `csv` reads.
pub fn feeder_csv(input: &[u8]) {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let delimiter = if flags & SEMICOLON == 0 { b',' } else { b';' };
    let columns = (flags & NAMED != 0).then(|| vec!["a".to_owned(), "b".to_owned()]);
    let has_headers = columns.is_none();
    let rows = match Rows::read(bytes, Format::Csv { delimiter }, columns) {
        Ok(rows) => rows,
        Err(error) => return check_error(&error, bytes),
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(has_headers).from_reader(bytes);
    if has_headers {
        let header = reader.headers().expect("an accepted header");
        assert!(rows.columns().map(|(_, name)| name).eq(header));
    }
    let mut count = 0;
    for record in reader.records() {
        let record = record.expect("an accepted row");
        let row = rows.row(RowIndex(count));
        let fields = rows.columns().map(|(column, _)| row.field(column).text());
        assert!(fields.eq(record.iter().map(str::as_bytes)), "row {count} differs");
        count += 1;
    }
    assert_eq!(rows.count(), count);
}

/// The input: a byte of flags (odd: the column `a` is named), and the file. What is accepted are the objects that
/// `serde_json` reads.
pub fn feeder_jsonl(input: &[u8]) {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let columns = (flags & 1 == 1).then(|| vec!["a".to_owned()]);
    let rows = match Rows::read(bytes, Format::Jsonl, columns) {
        Ok(rows) => rows,
        Err(error) => return check_error(&error, bytes),
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut count = 0;
    for line in lines {
        let row = rows.row(RowIndex(count));
        count += 1;
        let object: Map<String, Value> = match serde_json::from_slice(line) {
            Ok(object) => object,
            // Numbers are handed on as they stand, whatever a 64-bit float can hold.
            Err(error) if error.to_string().contains("out of range") => continue,
            Err(error) => panic!("an accepted line is no object: {error}"),
        };
        for (column, name) in rows.columns() {
            let text = row.field(column).text();
            match &object[name] {
                Value::String(expected) => assert_eq!(text, expected.as_bytes()),
                expected => assert_eq!(&serde_json::from_slice::<Value>(&text).expect("a value"), expected),
            }
        }
    }
    assert_eq!(rows.count(), count);
}

/// A message is one line with a fix, and its place is in the file.
fn check_error(error: &FeederError, bytes: &[u8]) {
    let message = error.to_string();
    assert!(message.contains(" → ") && !message.contains('\n'), "{message}");
    if let Some(position) = error.position() {
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let line = usize::try_from(position.line).ok().and_then(|line| lines.get(line - 1)).expect("a line");
        assert!(position.column >= 1 && position.column <= line.len() as u64 + 1, "{message}");
    }
}
