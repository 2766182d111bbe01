use super::*;

fn shape(condition: &Condition) -> String {
    let text = |template: &Template| match template.as_literal() {
        Some(text) => format!("'{text}'"),
        None => format!("{}", template.parts.len()),
    };
    match condition {
        Condition::Compare { left, operator, right } => {
            format!("{} {operator:?} {}", text(left), text(right))
        }
        Condition::Matches { left, pattern } => format!("{} ~ {}", text(left), pattern.as_str()),
        Condition::And(left, right) => format!("({} & {})", shape(left), shape(right)),
        Condition::Or(left, right) => format!("({} | {})", shape(left), shape(right)),
        Condition::Not(inner) => format!("!{}", shape(inner)),
    }
}

#[test]
fn right_conditions() {
    for (text, expected) in [
        ("{{a}} == pending", "1 Equal 'pending'"),
        ("{{a}}!=''", "1 Unequal ''"),
        ("{{a}}-{{b}} <= 5", "3 AtMost '5'"),
        ("  {{ a }} contains 'two words'  ", "1 Contains 'two words'"),
        ("{{a}} matches '^x (y)$'", "1 ~ ^x (y)$"),
        ("not {{a}} == 1 and {{b}} > 2 or {{c}} < 3", "((!1 Equal '1' & 1 Above '2') | 1 Below '3')"),
        ("{{a}} == 1 and ({{b}} >= 2 or not({{c}} == 3))", "(1 Equal '1' & (1 AtLeast '2' | !1 Equal '3'))"),
        ("order == {{a}}", "'order' Equal 1"),
        ("{{a}} == notable", "1 Equal 'notable'"),
        ("\"{\" == {{a}}", "'{' Equal 1"),
        ("ä == {{a}}", "'ä' Equal 1"),
    ] {
        assert_eq!(shape(&Condition::parse(text, Origin(1)).expect(text)), expected, "{text}");
    }
    assert_eq!(
        Condition::parse("{{a}} == {{b}} and {{c}} matches x", Origin(0)).unwrap().templates().len(),
        3
    );
}

#[test]
fn wrong_conditions_say_where_what_and_how_to_fix() {
    for (text, offset, length, fragment) in [
        ("", 0, 0, "a value is missing here"),
        ("{{a}}", 0, 5, "\"{{a}}\" is compared with nothing → e.g. {{status}} == 200"),
        ("{{a}} = 1", 6, 1, "\"=\" is not an operator → =="),
        ("{{a}} contians 1", 6, 8, "did you mean contains?"),
        ("{{a}} ==", 8, 0, "a value is missing here"),
        ("a == b", 0, 6, "always has the same result → a variable stands in braces: {{a}}"),
        ("'' == ''", 0, 8, "{{name}}"),
        ("({{a}} == 1", 0, 1, "the bracket is not closed"),
        ("{{a}} == 1)", 10, 1, "\")\" does not belong here → leave it out"),
        ("{{a}} == 1 && {{b}} == 2", 11, 2, "→ and"),
        ("{{a}} == two words", 13, 5, "a text with spaces stands in quotation marks"),
        ("{{a}} matches {{b}}", 14, 5, "a pattern is fixed when the plan is read"),
        ("{{a}} matches '('", 14, 3, "is not a regular expression"),
        ("'{{a}}' == 1", 0, 7, "braces between quotation marks are literal"),
        ("{{a} == 1", 3, 1, "goes on after its end"),
        ("{{a}} == 'x", 9, 1, "the quotation mark is not closed"),
        (
            "not not not not not not not not not not not not not not not not not a == 1",
            64,
            1,
            "nested deeper",
        ),
    ] {
        let error = Condition::parse(text, Origin(9)).expect_err(text);
        assert!(error.to_string().contains(fragment), "{text}: {error}");
        assert_eq!(
            (error.offset, error.length, error.origin),
            (offset, length, Origin(9)),
            "{text}: {error}"
        );
    }
}
