//! Texts with expressions in double braces.
//!
//! Everything outside of `{{ … }}` is meant literally; `{{'{{'}}` writes two braces.

use crate::cursor::Cursor;
use crate::error::{Origin, ScenarioError};
use crate::expression::{Expression, ExpressionKind};

/// A text in which expressions are filled in at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// The text that it was read from.
    pub origin: Origin,
    /// Its parts, in order. No two literal texts follow each other.
    pub parts: Vec<TemplatePart>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    /// Text that stands for itself.
    Text(String),
    /// What is filled in.
    Expression(Expression),
}

impl Template {
    /// Reads a template. `origin` names the text in errors, also in those that [`crate::validate`] finds later.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        let mut cursor = Cursor::new(text);
        let mut template = Self { origin, parts: Vec::new() };
        while !cursor.is_at_end() {
            match cursor.rest().find("{{") {
                None => {
                    template.push_text(cursor.rest());
                    break;
                }
                Some(length) => {
                    template.push_text(&cursor.rest()[..length]);
                    cursor.at += length;
                    let expression = braced(&mut cursor).map_err(|error| error.of(origin))?;
                    template.push(expression);
                }
            }
        }
        Ok(template)
    }

    /// A template of one literal text, braces and all.
    pub fn literal(text: &str) -> Self {
        let mut template = Self::default();
        template.push_text(text);
        template
    }

    /// Its text, when nothing has to be filled in.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is empty whatever is filled in.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The expressions in it, in order, without those within them.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            TemplatePart::Expression(expression) => Some(expression),
            TemplatePart::Text(_) => None,
        })
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(TemplatePart::Text(last)) = self.parts.last_mut() {
            last.push_str(text);
        } else {
            self.parts.push(TemplatePart::Text(text.to_owned()));
        }
    }

    /// Adds an expression; a literal one is text.
    pub(crate) fn push(&mut self, expression: Expression) {
        match &expression.kind {
            ExpressionKind::Literal(text) => self.push_text(text),
            _ => self.parts.push(TemplatePart::Expression(expression)),
        }
    }
}

/// Reads `{{ expression }}`, which comes next.
pub(crate) fn braced(cursor: &mut Cursor<'_>) -> Result<Expression, ScenarioError> {
    let start = cursor.at;
    cursor.at += 2;
    let expression = Expression::parse(cursor, 0)?;
    cursor.skip_space();
    if cursor.take("}}") {
        return Ok(expression);
    }
    if cursor.is_at_end() {
        return Err(ScenarioError::new(
            start,
            2,
            "the braces are not closed",
            "close them with }}; {{'{{'}} writes two braces",
        ));
    }
    let length = cursor.char_length();
    Err(ScenarioError::new(
        cursor.at,
        length,
        "the expression goes on after its end",
        "close it with }}, e.g. {{name}}",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Function;

    fn parse(text: &str) -> Result<Template, ScenarioError> {
        Template::parse(text, Origin(7))
    }

    #[test]
    fn right_templates() {
        assert_eq!(parse("").unwrap().as_literal(), Some(""));
        assert_eq!(parse("a { b }} c").unwrap().as_literal(), Some("a { b }} c"));
        assert_eq!(parse("{{'{{'}}x{{ \"}}\" }}").unwrap().as_literal(), Some("{{x}}"));
        assert_eq!(parse("n={{42}}{{ -0.5 }}").unwrap().as_literal(), Some("n=42-0.5"));
        assert_eq!(parse(r#"{{"a\n\"\\'"}}"#).unwrap().as_literal(), Some("a\n\"\\'"));
        let template = parse("/u/{{ users.name }}?t={{token}}&{{uuid}}").unwrap();
        let kinds: Vec<_> = template.expressions().map(|expression| expression.kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                ExpressionKind::Column { feeder: "users".into(), column: "name".into() },
                ExpressionKind::Variable("token".into()),
                ExpressionKind::Call(Function::Uuid, Vec::new()),
            ]
        );
        assert_eq!(
            template.expressions().next().map(|expression| (expression.offset, expression.length)),
            Some((6, 10))
        );
        let kind =
            |text: &str| parse(text).unwrap().expressions().next().map(|expression| expression.kind.clone());
        assert_eq!(kind("{{secret.password}}"), Some(ExpressionKind::Secret("password".into())));
        assert_eq!(kind("{{setup.token}}"), Some(ExpressionKind::Setup("token".into())));
        assert_eq!(
            kind("{{users.'first name'}}"),
            Some(ExpressionKind::Column { feeder: "users".into(), column: "first name".into() })
        );
        for function in Function::ALL {
            let (least, most) = function.arguments();
            for count in [least, most] {
                let text = format!("{{{{ {} ( {} ) }}}}", function.name(), vec!["\"a\""; count].join(" , "));
                let Some(ExpressionKind::Call(parsed, arguments)) = kind(&text) else { panic!("{text}") };
                assert_eq!((parsed, arguments.len()), (*function, count));
            }
        }
    }

    #[test]
    fn wrong_templates_say_where_what_and_how_to_fix() {
        for (text, offset, length, fragment) in [
            ("a{{", 3, 0, "is not finished → e.g. {{name}}"),
            ("a{{}}", 3, 1, "there is no expression here"),
            ("a{{b", 1, 2, "the braces are not closed → close them with }}"),
            ("a{{b}", 4, 1, "goes on after its end"),
            ("{{b c}}", 4, 1, "goes on after its end"),
            ("{{\"b}}", 2, 1, "the quotation mark is not closed → close it with \""),
            ("{{'\\x'}}", 3, 2, "the backslash begins no escape"),
            ("{{uid()}}", 2, 3, "there is no function uid → did you mean uuid?"),
            ("{{zebra(1)}}", 2, 5, "there is no function zebra → one of uuid, iteration"),
            ("{{random(1)}}", 2, 9, "random takes 2 arguments, not 1 → e.g. random(1, 100)"),
            ("{{random}}", 2, 6, "random takes 2 arguments, not 0"),
            ("{{uuid(1)}}", 2, 6, "uuid takes no argument, not more → e.g. uuid"),
            ("{{pick()}}", 2, 6, "pick takes 1 to 64 arguments"),
            ("{{base64(1, 2)}}", 2, 11, "base64 takes 1 argument, not more"),
            ("{{random(1 2)}}", 11, 1, "the brackets of random are not closed"),
            ("{{secret}}", 2, 6, "secret stands alone → secret.NAME"),
            ("{{users.}}", 2, 6, "no name after the dot"),
            ("{{-}}", 2, 1, "is not a number"),
            ("{{1.}}", 2, 2, "is not a number"),
            ("{{ä}}", 2, 2, "begins no expression"),
            ("{{md5(md5(md5(md5(md5(md5(md5(md5(md5(1)))))))))}}", 34, 3, "nested deeper than 8"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(
                (error.offset, error.length, error.origin),
                (offset, length, Origin(7)),
                "{text}: {error}"
            );
            assert!(error.to_string().contains(fragment), "{text}: {error}");
        }
    }
}
