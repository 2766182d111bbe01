use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use scenario::{
    BodySource, Condition, Failure, HeaderField, JsonPath, Origin, Outcome, Pattern, StatusSet, Template,
};

use crate::harness::{compile, request, run, template};

fn cases(cases: u32) -> Config {
    let ambient = Config::default();
    let rng_seed = match ambient.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0x5ce4_a710),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, ..ambient }
}

/// A template that yields any text: braces are written as an expression.
fn literal(text: &str) -> Template {
    Template::literal(text)
}

proptest! {
    #![proptest_config(cases(500))]

    /// What is sent is what was asked for, and nothing else: another parser reads it back.
    #[test]
    fn requests_read_back(
        path in "/[a-z0-9/]{0,12}",
        query in proptest::collection::vec(("[a-z]{1,4}", ".{0,8}"), 0..3),
        headers in proptest::collection::vec(("X-[a-z]{1,6}", "[ -~]{0,12}"), 0..4),
        body in proptest::option::of(".{0,40}"),
    ) {
        let fields = |headers: &[(String, String)]| -> Vec<HeaderField> {
            let field = |(name, value): &(String, String)| HeaderField { name: name.clone(), origin: Origin(0), value: literal(value) };
            headers.iter().map(field).collect()
        };
        let program = compile(vec![request(|request| {
            request.method = "POST".into();
            request.url = literal(&path);
            request.query = query.iter().map(|(name, value)| (name.clone(), literal(value))).collect();
            request.headers = fields(&headers);
            request.body = body.as_ref().map_or(BodySource::None, |body| BodySource::Text(literal(body)));
        })]);
        let seen = run(&program);
        prop_assert_eq!(seen.outcome, Some(Outcome::Done));
        let bytes = seen.requests[0].as_bytes();
        let mut parsed_headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut parsed_headers);
        let httparse::Status::Complete(head) = parsed.parse(bytes).unwrap() else { panic!("incomplete") };
        prop_assert_eq!(parsed.method, Some("POST"));
        let target = parsed.path.unwrap();
        prop_assert_eq!(target.split('?').next().unwrap(), path);
        prop_assert_eq!(target.contains('?'), !query.is_empty());
        prop_assert_eq!(target.matches('=').count(), query.len(), "{}", target);
        let content = body.unwrap_or_default();
        prop_assert_eq!(&bytes[head..], content.as_bytes());
        let mut expected: Vec<(String, Vec<u8>)> = vec![
            ("Host".into(), b"shop.test:8080".to_vec()),
            ("User-Agent".into(), concat!("openloop/", env!("CARGO_PKG_VERSION")).into()),
        ];
        expected.extend(headers.iter().map(|(name, value)| (name.clone(), value.trim().as_bytes().to_vec())));
        expected.push(("Content-Length".into(), content.len().to_string().into_bytes()));
        let found: Vec<(String, Vec<u8>)> =
            parsed.headers.iter().map(|header| (header.name.to_owned(), header.value.trim_ascii().to_vec())).collect();
        prop_assert_eq!(found, expected);
    }

    /// Whatever stands in a header's value, it is sent within its line or not at all.
    #[test]
    fn values_stay_in_their_lines(value in "(?s).{0,10}") {
        let field = HeaderField { name: "X".into(), origin: Origin(0), value: literal(&value) };
        let seen = run(&compile(vec![request(|request| request.headers = vec![field])]));
        let has_control = value.chars().any(|character| character.is_ascii_control() && character != '\t');
        if has_control {
            prop_assert_eq!(seen.outcome, Some(Outcome::Failed(Failure::Injection)));
        } else {
            prop_assert_eq!(seen.requests[0].matches("\r\n").count(), 5);
        }
    }

    #[test]
    fn parsers_do_not_panic(text in "[{}a-z0-9_.\"'\\\\()$\\[\\]*:,=<>! \u{e4}-]{0,40}", any in ".{0,20}") {
        for text in [&text, &any] {
            for error in [
                Template::parse(text, Origin(1)).err(),
                Condition::parse(text, Origin(1)).err(),
                JsonPath::parse(text, Origin(1)).err(),
                StatusSet::parse(text, Origin(1)).err(),
                Pattern::parse(text, Origin(1)).err(),
            ].into_iter().flatten() {
                prop_assert!(error.offset + error.length <= text.len(), "{text:?}: {error:?}");
                prop_assert!(text.is_char_boundary(error.offset) && text.is_char_boundary(error.offset + error.length));
                prop_assert!(!error.to_string().contains('\n') && !error.what.is_empty() && !error.fix.is_empty(), "{error:?}");
            }
        }
    }

    /// Any text can be written as a template.
    #[test]
    fn any_text_can_be_quoted(text in ".{0,20}") {
        let quoted = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
        let parsed = template(&format!("{{{{'{quoted}'}}}}"));
        prop_assert_eq!(parsed.as_literal(), Some(text.as_str()));
    }
}
