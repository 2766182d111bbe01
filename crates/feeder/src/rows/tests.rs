use super::*;

mod against_csv;
mod against_serde;
mod malformed;

const COMMA: Format = Format::Csv { delimiter: b',' };

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Everything that a table holds, as text.
fn cells<B: AsRef<[u8]>>(rows: &Rows<B>) -> Vec<Vec<String>> {
    let cell = |row: Row<'_>, column| String::from_utf8(row.field(column).text().into_owned()).unwrap();
    (0..rows.count())
        .map(|number| rows.columns().map(|(column, _)| cell(rows.row(RowIndex(number)), column)).collect())
        .collect()
}

fn column_names<B: AsRef<[u8]>>(rows: &Rows<B>) -> Vec<String> {
    rows.columns().map(|(_, name)| name.to_owned()).collect()
}

fn assert_table(bytes: &[u8], format: Format, columns: &[&str], expected: &[&[&str]]) {
    let rows = Rows::read(bytes, format, None).unwrap();
    assert_eq!(column_names(&rows), columns);
    assert_eq!(cells(&rows), expected, "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn csv_is_read_as_the_rfc_says() {
    assert_table(b"a,b\n1,2\n3,4", COMMA, &["a", "b"], &[&["1", "2"], &["3", "4"]]);
    assert_table(b"\xef\xbb\xbfa,b\r\n1,2\r\n", COMMA, &["a", "b"], &[&["1", "2"]]);
    assert_table(b"\n\r\na,b\n\n1,\r\n\r\n,2\n\n", COMMA, &["a", "b"], &[&["1", ""], &["", "2"]]);
    assert_table(b"a\n\"\"\n\"x\ny\r\nz\"\n", COMMA, &["a"], &[&[""], &["x\ny\r\nz"]]);
    assert_table(b"\"a\"\"\",b\n\"1,\"\"\",\" 2\"\r\n", COMMA, &["a\"", "b"], &[&["1,\"", " 2"]]);
    assert_table(
        "ä;b\n ö;\"😀;\"".as_bytes(),
        Format::Csv { delimiter: b';' },
        &["ä", "b"],
        &[&[" ö", "😀;"]],
    );
}

#[test]
fn jsonl_is_read_by_members() {
    let text = br#"{"id": 1, "name": "a\"\u00e4\ud83d\ude00\n", "more": {"x": [1, "}"]}, "no": null}

  { "no":true,"extra":[], "more":[] , "name":"", "id":-1.5e+3 }  "#;
    let expected: &[&[&str]] =
        &[&["1", "a\"ä😀\n", r#"{"x": [1, "}"]}"#, "null"], &["-1.5e+3", "", "[]", "true"]];
    assert_table(text, Format::Jsonl, &["id", "name", "more", "no"], expected);
    assert_table(br#"{"\u0061":1}"#, Format::Jsonl, &["a"], &[&["1"]]);
    let rows = Rows::read(&text[..], Format::Jsonl, Some(names(&["no", "id"]))).unwrap();
    assert_eq!(cells(&rows), [["null", "1"], ["true", "-1.5e+3"]]);
}

#[test]
fn named_columns_mean_no_header() {
    let rows = Rows::read(b"1,2\n3,4\n", COMMA, Some(names(&["a", "b"]))).unwrap();
    assert_eq!(cells(&rows), [["1", "2"], ["3", "4"]]);
    assert_eq!(rows.column("b"), rows.columns().nth(1).map(|(column, _)| column));
    assert_eq!(rows.column("c"), None);
}

#[test]
fn only_fields_that_need_it_are_decoded() {
    let csv = Rows::read(b"a,b,c\n1,\"2\",\"3\"\"\"\n", COMMA, None).unwrap();
    let json = Rows::read(br#"{"a":"1","b":"2","c":"3\""}"#, Format::Jsonl, None).unwrap();
    for rows in [csv.row(RowIndex(0)), json.row(RowIndex(0))] {
        let plain: Vec<_> = (0..3).map(|column| rows.field(ColumnIndex(column)).plain()).collect();
        assert_eq!(plain, [Some(&b"1"[..]), Some(b"2"), None]);
        let mut out = b">".to_vec();
        rows.field(ColumnIndex(2)).append_to(&mut out);
        assert_eq!(out, b">3\"");
        let shown = format!("{rows:?} {:?}", rows.field(ColumnIndex(0)));
        assert_eq!(
            shown,
            format!("Row({} bytes) Field(1 bytes, Plain)", rows.bytes.len()),
            "data is not shown"
        );
    }
}

/// A mapped file may be overwritten. What is found then is no row any more, but reading it must end without a panic.
#[test]
fn bytes_that_change_give_wrong_fields_and_no_panic() {
    use std::cell::RefCell;

    /// Gives the first bytes until it is told otherwise.
    struct Changing(Vec<u8>, Vec<u8>, RefCell<bool>);

    impl AsRef<[u8]> for Changing {
        fn as_ref(&self) -> &[u8] {
            if *self.2.borrow() { &self.1 } else { &self.0 }
        }
    }

    let csv = b"a,b\n1,\"x\"\"y\"\n2,z\n".to_vec();
    let jsonl = b"{\"a\":\"\\u00e4\",\"b\":[1]}\n{\"a\":2,\"b\":{}}\n".to_vec();
    for (format, text) in [(COMMA, csv), (Format::Jsonl, jsonl)] {
        for replaced in 0..text.len() {
            for byte in *b"\"\\,{}[]:\n\r 0u\xff\0" {
                let mut other = text.clone();
                other[replaced..].fill(byte);
                for other in [other, [&text[..replaced], &[byte], &text[replaced + 1..]].concat()] {
                    let rows =
                        Rows::read(Changing(text.clone(), other, RefCell::new(false)), format, None).unwrap();
                    *rows.bytes.2.borrow_mut() = true;
                    for number in 0..rows.count() {
                        for column in 0..2 {
                            let text =
                                rows.row(RowIndex(number)).field(ColumnIndex(column)).text().into_owned();
                            assert!(text.len() <= rows.bytes.1.len());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn rows_may_have_any_size_up_to_the_limit() {
    for size in [ROW_BYTES_MAX - 1, ROW_BYTES_MAX, ROW_BYTES_MAX + 1] {
        for quoted in [false, true] {
            let quote = if quoted { "\"" } else { "" };
            let field = "x".repeat(size - 1 - 2 * quote.len());
            let text = format!("a\n1\n{quote}{field}{quote}\n2\n");
            let rows = Rows::read(text.as_bytes(), COMMA, None);
            if size > ROW_BYTES_MAX {
                let position = Position { line: 3, column: 1 };
                let is_expected = matches!(
                    rows,
                    Err(FeederError::RowTooLong { position: at } | FeederError::OpenQuote { position: at }) if at == position
                );
                assert!(is_expected, "{rows:?}");
            } else {
                let rows = rows.unwrap();
                assert_eq!(rows.row(RowIndex(1)).field(ColumnIndex(0)).plain(), Some(field.as_bytes()));
                assert_eq!(rows.row(RowIndex(2)).field(ColumnIndex(0)).plain(), Some(&b"2"[..]));
            }
        }
    }
}

/// Far more than 4 GiB of empty lines would not fit the index; that many are refused.
#[test]
fn gaps_between_rows_are_bounded() {
    for (gap, is_fine) in [(1 << 20, true), (STEP_BYTES_MAX / 2, false)] {
        let text = [&b"a\n1\n"[..], &vec![b'\n'; gap], b"2\n"].concat();
        let rows = Rows::read(text, COMMA, None);
        assert_eq!(rows.is_ok(), is_fine, "{gap}");
        if let Err(error) = rows {
            assert!(matches!(error, FeederError::RowTooLong { .. }), "{error}");
        }
    }
}

#[test]
fn the_index_is_compact() {
    let lines: Vec<String> = (0..100_000).map(|row| format!("{row},user-{row}\n")).collect();
    let rows = Rows::read(lines.concat().into_bytes(), COMMA, Some(names(&["id", "name"]))).unwrap();
    assert_eq!(rows.count(), 100_000);
    assert_eq!(rows.index_bytes(), 100_000 * 4 + 100_000_usize.div_ceil(64) * 8);
}
