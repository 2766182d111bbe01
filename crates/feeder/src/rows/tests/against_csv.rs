//! Random tables, written with random quotes and line ends, read by us and by the crate `csv`.

use proptest::prelude::*;

use super::*;
use crate::proptest_config::cases;

/// A table's fields, all rows of one width.
fn tables() -> impl Strategy<Value = Vec<Vec<String>>> {
    let field = prop_oneof![
        4 => "[a-z0-9 ]{0,12}",
        4 => "[ab,;\"\r\n é😀]{0,8}",
        1 => "[ -~]{60,90}",
    ];
    (1_usize..6, 1_usize..90).prop_flat_map(move |(width, height)| {
        prop::collection::vec(prop::collection::vec(field.clone(), width), height)
    })
}

/// Writes a table; `choices` decide what the RFC leaves open.
fn written(table: &[Vec<String>], delimiter: u8, choices: &[u8]) -> Vec<u8> {
    let mut choices = choices.iter().copied().cycle();
    let mut choose = |of: u8| choices.next().unwrap_or(0) % of;
    let mut out = if choose(4) == 0 { BYTE_ORDER_MARK.to_vec() } else { Vec::new() };
    for (number, row) in table.iter().enumerate() {
        for (column, field) in row.iter().enumerate() {
            if column > 0 {
                out.push(delimiter);
            }
            let needs = field.bytes().any(|byte| byte == delimiter || b"\"\r\n".contains(&byte));
            let is_blank = row.len() == 1 && field.is_empty();
            if needs || is_blank || choose(3) == 0 {
                out.push(b'"');
                out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
                out.push(b'"');
            } else {
                out.extend_from_slice(field.as_bytes());
            }
        }
        let is_last = number + 1 == table.len();
        if !is_last || choose(2) == 0 {
            out.extend_from_slice(if choose(2) == 0 { b"\r\n" } else { b"\n" });
            for _ in 0..choose(8).saturating_sub(5) {
                out.extend_from_slice(if choose(2) == 0 { b"\r\n" } else { b"\n" });
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn tables_are_read_as_the_csv_crate_reads_them(
        table in tables(),
        is_semicolon: bool,
        choices in prop::collection::vec(any::<u8>(), 50..200),
    ) {
        let delimiter = if is_semicolon { b';' } else { b',' };
        let bytes = written(&table, delimiter, &choices);
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(&bytes[..]);
        let theirs: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        prop_assert_eq!(&theirs, &table);
        let columns = (0..table[0].len()).map(|column| format!("c{column}")).collect();
        let rows = Rows::read(&bytes[..], Format::Csv { delimiter }, Some(columns)).unwrap();
        prop_assert_eq!(cells(&rows), table);
    }

    /// Whatever the bytes: what we accept the other reads the same, and nothing panics.
    #[test]
    fn what_is_accepted_is_what_the_csv_crate_reads(text in "[ab,\"\r\n]{0,24}") {
        if let Ok(rows) = Rows::read(text.as_bytes(), COMMA, None) {
            let mut reader = ::csv::Reader::from_reader(text.as_bytes());
            let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            prop_assert_eq!(column_names(&rows), header);
            let theirs: Vec<Vec<String>> =
                reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(cells(&rows), theirs);
        }
    }
}
