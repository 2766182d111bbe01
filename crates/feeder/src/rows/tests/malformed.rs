//! Every way in which data can be wrong, with its line and column.

use super::*;

const AT_1: (u64, u64) = (1, 1);

/// A file, and the place and the beginning of the message with which it is refused.
type Case = (&'static [u8], Option<(u64, u64)>, &'static str);

fn assert_refused(format: Format, columns: Option<&[&str]>, cases: &[Case]) {
    for (bytes, place, what) in cases {
        let shown = String::from_utf8_lossy(bytes);
        let error = Rows::read(*bytes, format, columns.map(names)).expect_err(&shown);
        let position = place.map(|(line, column)| Position { line, column });
        assert_eq!(error.position(), position, "{shown:?}: {error}");
        let message = error.to_string();
        assert!(
            message.contains(what) && message.contains(" → ") && !message.contains('\n'),
            "{shown:?}: {message}"
        );
        assert!(place.is_none() || message.starts_with("line "), "{message}");
        assert!(!message.contains("secret") && !error.is_contradiction(), "{message}");
    }
}

#[test]
fn malformed_csv_is_refused_where_it_is_wrong() {
    assert_refused(
        COMMA,
        None,
        &[
            (b"", None, "the file is empty"),
            (b"\xef\xbb\xbf\n\r\n", None, "the file is empty"),
            (b"a,b\n", None, "no row of data"),
            (b"\xff\xfea\0\n\0", Some(AT_1), "UTF-16"),
            (b"\xfe\xff\0a\0\n", Some(AT_1), "UTF-16"),
            (b"a\n1\n\xe4secret\n", Some((3, 1)), "no UTF-8"),
            (b"a\xff,b\n1,2\n", Some((1, 2)), "no UTF-8"),
            (b"a,,c\n1,2,3\n", None, "column 2 of the data has no name"),
            (b"a,b,secret,secret\n1,2,3,4\n", None, "columns 3 and 4 of the data have the same name"),
            (b"a,b\n1,2\nsecret\n", Some((3, 1)), "1 fields instead of 2"),
            (b"a,b\n1,2,secret\n", Some((2, 1)), "3 fields instead of 2"),
            (
                b"a,b,c\n\n\"x\n\",2\n",
                Some((3, 1)),
                "2 fields instead of 3 → add the fields that are missing",
            ),
            (b"a,b\n1,\"secret\n2,3\n", Some((2, 3)), "is not closed"),
            (b"a,b\n1,\"secret\"\"", Some((2, 3)), "is not closed"),
            (b"a,b\n1,sec\"ret\"\n", Some((2, 6)), "a quote within a field without quotes"),
            (b"a,b\n1, \"secret\"\n", Some((2, 4)), "a quote within a field without quotes"),
            (b"a,b\n\"x\ny\"secret,2\n", Some((3, 3)), "text behind the closing quote"),
            (b"a,b\n\"x\" ,2\n", Some((2, 4)), "text behind the closing quote"),
            (b"a,b\n1,2\rsecret,4\n", Some((2, 4)), "a carriage return without a line feed"),
            (b"a,b\r1,2\r", Some((1, 4)), "a carriage return without a line feed"),
            (b"a,b\n1,2\r", Some((2, 4)), "a carriage return without a line feed"),
            (b"a,b\n\"1\"\r,2\n", Some((2, 4)), "a carriage return without a line feed"),
            (b"\xef\xbb\xbfa,\"b\n", Some((1, 3)), "is not closed"),
        ],
    );
    assert_refused(
        COMMA,
        Some(&["a", "b"]),
        &[
            (b"", None, "no row of data"),
            (b"1;2\n", Some(AT_1), "1 fields instead of 2 → separate its fields"),
        ],
    );
    assert_refused(COMMA, Some(&[]), &[(b"1,2\n", None, "the data has no column")]);
    assert_refused(COMMA, Some(&["a", ""]), &[(b"1,2\n", None, "column 2 of the data has no name")]);
    for delimiter in *b"\"\r\n" {
        assert_refused(Format::Csv { delimiter }, None, &[(b"a\n1\n", None, "cannot separate fields")]);
    }
}

#[test]
fn malformed_jsonl_is_refused_where_it_is_wrong() {
    assert_refused(
        Format::Jsonl,
        None,
        &[
            (b"", None, "the file is empty"),
            (b" \n\n", None, "the file is empty"),
            (b"{}", None, "the data has no column"),
            (b"{\"\":1}", None, "column 1 of the data has no name"),
            (b"[{\"a\":1}]", Some(AT_1), "an array begins here"),
            (b"a,b\n1,2\n", Some(AT_1), "the line is no JSON object"),
            (b"{\"a\":1}\n\n 7\n", Some((3, 2)), "the line is no JSON object"),
            (b"{\n\"a\":1\n}\n", Some((1, 2)), "a key in quotes is missing"),
            (b"{\"a\":1,}", Some((1, 8)), "a key in quotes is missing"),
            (b"{a:1}", Some((1, 2)), "a key in quotes is missing"),
            (b"{\"a\" 1}", Some((1, 6)), "the colon behind a key is missing"),
            (b"{\"a\":}", Some((1, 6)), "a value is missing"),
            (b"{\"a\":True}", Some((1, 6)), "a value is missing"),
            (b"{\"a\":1 \"b\":2}", Some((1, 8)), "a comma or } is missing"),
            (b"{\"a\":1", Some((1, 7)), "a comma or } is missing"),
            (b"{\"a\":[1 2]}", Some((1, 9)), "a comma or ] is missing"),
            (b"{\"a\":{\"b\":1]}", Some((1, 12)), "a comma or } is missing"),
            (b"{\"a\":1}{\"a\":2}", Some((1, 8)), "text behind the object"),
            (b"{\"a\":01}", Some((1, 6)), "the number is none in JSON"),
            (b"{\"a\":-}", Some((1, 6)), "the number is none in JSON"),
            (b"{\"a\":1.}", Some((1, 6)), "the number is none in JSON"),
            (b"{\"a\":1e}", Some((1, 6)), "the number is none in JSON"),
            (b"{\"a\":\"secret}\n{\"a\":1}", Some((1, 6)), "the string that begins here is not closed"),
            (b"{\"a\":\"sec\tret\"}", Some((1, 10)), "a control character stands in a string"),
            (b"{\"a\":\"C:\\secret\"}", Some((1, 9)), "there is no such escape"),
            (b"{\"a\":\"\\u12g4\"}", Some((1, 7)), "the escape is no character"),
            (b"{\"a\":\"\\ud83dx\"}", Some((1, 7)), "the escape is no character"),
            (b"{\"a\":\"\\ude00\\ud83d\"}", Some((1, 7)), "the escape is no character"),
            (b"{\"a\":\"\\ud83d\\u0041\"}", Some((1, 7)), "the escape is no character"),
            (b"{\"a\":1,\"b\":2}\n{\"b\":\"secret\"}\n", Some((2, 1)), "no member \"a\""),
            (b"{\"a\":1,\"a\":2}", Some((1, 8)), "the member \"a\" is there twice"),
            (b"{\"a\":1}\n{\"a\":1,\"\\u0061\":2}", Some((2, 8)), "the member \"a\" is there twice"),
            (b"{\"a\":\"\xff\"}", Some((1, 7)), "no UTF-8"),
        ],
    );
    assert_refused(
        Format::Jsonl,
        Some(&["id"]),
        &[(b"\n", None, "no row of data"), (b"{\"a\":1}", Some(AT_1), "no member \"id\"")],
    );
}
