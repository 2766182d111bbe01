//! Conditions: comparisons of templates, joined by `and`, `or`, `not` and brackets.
//!
//! ```text
//! condition  = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" condition ")" | operand operator operand
//! operator   = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "matches"
//! operand    = text in quotation marks | letters and {{ expressions }} without spaces between them
//! ```

use crate::cursor::Cursor;
use crate::error::{Origin, ScenarioError, Shown};
use crate::name::fix_for;
use crate::pattern::Pattern;
use crate::template::{Template, TemplatePart, braced};

/// Deepest nesting of brackets and `not`.
const DEPTH_MAX: usize = 16;
/// Most comparisons of one condition.
const COMPARISONS_MAX: usize = 64;

/// What is asked in `if`, `while`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Two values compared: as numbers when both are numbers, else byte by byte.
    Compare {
        /// The left value.
        left: Template,
        /// How they are compared.
        operator: Operator,
        /// The right value.
        right: Template,
    },
    /// Whether a pattern is found in a value.
    Matches {
        /// The value.
        left: Template,
        /// The pattern.
        pattern: Pattern,
    },
    /// Both hold.
    And(Box<Self>, Box<Self>),
    /// At least one holds.
    Or(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
}

/// How two values are compared.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `contains`: the right text stands somewhere in the left one.
    Contains,
}

/// The operators as they are written; longer ones before those that they begin with.
const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Below),
    (">", Operator::Above),
];

impl Condition {
    /// Reads a condition.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ScenarioError> {
        let mut parser = Parser { cursor: Cursor::new(text), origin, comparisons: 0 };
        let parsed = parser.any(0).and_then(|condition| {
            parser.cursor.skip_space();
            if parser.cursor.is_at_end() { Ok(condition) } else { Err(parser.trailing()) }
        });
        parsed.map_err(|error| error.of(origin))
    }

    /// The templates in it, from left to right.
    pub fn templates(&self) -> Vec<&Template> {
        match self {
            Self::Compare { left, right, .. } => vec![left, right],
            Self::Matches { left, .. } => vec![left],
            Self::And(left, right) | Self::Or(left, right) => {
                let mut templates = left.templates();
                templates.extend(right.templates());
                templates
            }
            Self::Not(inner) => inner.templates(),
        }
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    origin: Origin,
    comparisons: usize,
}

enum Comparison {
    Plain(Operator),
    Matches,
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Condition, ScenarioError> {
        let mut left = self.all(depth)?;
        while self.take_word("or") {
            left = Condition::Or(Box::new(left), Box::new(self.all(depth)?));
        }
        Ok(left)
    }

    fn all(&mut self, depth: usize) -> Result<Condition, ScenarioError> {
        let mut left = self.one(depth)?;
        while self.take_word("and") {
            left = Condition::And(Box::new(left), Box::new(self.one(depth)?));
        }
        Ok(left)
    }

    fn one(&mut self, depth: usize) -> Result<Condition, ScenarioError> {
        self.cursor.skip_space();
        if depth == DEPTH_MAX {
            let what = format!("the condition is nested deeper than {DEPTH_MAX}");
            return Err(ScenarioError::new(
                self.cursor.at,
                self.cursor.char_length(),
                what,
                "split it into several steps",
            ));
        }
        if self.take_word("not") {
            return Ok(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        let start = self.cursor.at;
        if !self.cursor.take("(") {
            return self.comparison();
        }
        let inner = self.any(depth + 1)?;
        self.cursor.skip_space();
        if self.cursor.take(")") {
            return Ok(inner);
        }
        if self.cursor.is_at_end() {
            return Err(ScenarioError::new(start, 1, "the bracket is not closed", "close it with )"));
        }
        Err(self.trailing())
    }

    fn comparison(&mut self) -> Result<Condition, ScenarioError> {
        let start = self.cursor.at;
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            let what = format!("the condition has more than {COMPARISONS_MAX} comparisons");
            let length = self.cursor.char_length();
            return Err(ScenarioError::new(
                start,
                length,
                what,
                "use `contains` or `matches` with alternatives",
            ));
        }
        let left = self.operand()?;
        let comparison = self.operator(start)?;
        self.cursor.skip_space();
        let (at, right) = (self.cursor.at, self.operand()?);
        let length = self.cursor.at - start;
        match comparison {
            Comparison::Matches => {
                let Some(text) = right.as_literal() else {
                    let length = self.cursor.at - at;
                    let what = "a pattern is fixed when the plan is read";
                    return Err(ScenarioError::new(
                        at,
                        length,
                        what,
                        "a text in quotation marks, or `contains`",
                    ));
                };
                // The pattern may have been quoted: the caret stands under all of what was written.
                let place =
                    |error: ScenarioError| ScenarioError { offset: at, length: self.cursor.at - at, ..error };
                Ok(Condition::Matches { pattern: Pattern::parse(text, self.origin).map_err(place)?, left })
            }
            Comparison::Plain(_) if left.as_literal().is_some() && right.as_literal().is_some() => {
                let what = "two fixed texts are compared, which always has the same result";
                let name = left.as_literal().filter(|text| crate::name::is_name(text)).unwrap_or("name");
                Err(ScenarioError::new(
                    start,
                    length,
                    what,
                    format!("a variable stands in braces: {{{{{name}}}}}"),
                ))
            }
            Comparison::Plain(operator) => Ok(Condition::Compare { left, operator, right }),
        }
    }

    fn operator(&mut self, start: usize) -> Result<Comparison, ScenarioError> {
        self.cursor.skip_space();
        for (text, operator) in OPERATORS {
            if self.cursor.take(text) {
                return Ok(Comparison::Plain(*operator));
            }
        }
        if self.take_word("contains") {
            return Ok(Comparison::Plain(Operator::Contains));
        }
        if self.take_word("matches") {
            return Ok(Comparison::Matches);
        }
        let at = self.cursor.at;
        if self.cursor.is_at_end() || self.cursor.peek() == Some(b')') {
            let what = format!("{} is compared with nothing", Shown(self.cursor.text[start..at].trim()));
            return Err(ScenarioError::new(start, at - start, what, "e.g. {{status}} == 200"));
        }
        let found = self.cursor.clone().take_while(|byte| !byte.is_ascii_whitespace());
        let length = found.len().max(self.cursor.char_length());
        let shown = Shown(&self.cursor.text[at..at + length]);
        let fix = match found {
            "=" | "===" | "is" | "equals" | "eq" => "==".to_owned(),
            "<>" | "ne" | "!" => "!=".to_owned(),
            _ => fix_for(found, &["==", "!=", "<", "<=", ">", ">=", "contains", "matches"], ""),
        };
        Err(ScenarioError::new(at, length, format!("{shown} is not an operator"), fix))
    }

    fn operand(&mut self) -> Result<Template, ScenarioError> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        let mut operand = Template { origin: self.origin, ..Template::default() };
        if matches!(self.cursor.peek(), Some(b'"' | b'\'')) {
            let text = self.cursor.take_quoted()?;
            if text.contains("{{") {
                let what = "braces between quotation marks are literal";
                let length = self.cursor.at - start;
                return Err(ScenarioError::new(
                    start,
                    length,
                    what,
                    "leave the quotation marks out: {{name}} == …",
                ));
            }
            // Even an empty text is an operand.
            operand.parts.push(TemplatePart::Text(text));
            return Ok(operand);
        }
        while let Some(byte) = self.cursor.peek() {
            if self.cursor.rest().starts_with("{{") {
                let expression = braced(&mut self.cursor)?;
                operand.push(expression);
            } else if byte.is_ascii_whitespace() || b"()=!<>".contains(&byte) {
                break;
            } else if let Some(character) = self.cursor.take_char() {
                operand.push_text(character.encode_utf8(&mut [0; 4]));
            }
        }
        if self.cursor.at == start {
            let what = "a value is missing here";
            return Err(ScenarioError::new(
                start,
                self.cursor.char_length(),
                what,
                "e.g. {{status}} == 200; an empty text is ''",
            ));
        }
        Ok(operand)
    }

    /// Takes a word that is not the beginning of a longer one.
    fn take_word(&mut self, word: &str) -> bool {
        self.cursor.skip_space();
        let rest = self.cursor.rest();
        let ends = rest.as_bytes().get(word.len()).is_none_or(|byte| {
            byte.is_ascii_whitespace() || matches!(byte, b'(' | b')' | b'"' | b'\'' | b'{')
        });
        ends && self.cursor.take(word)
    }

    fn trailing(&self) -> ScenarioError {
        let at = self.cursor.at;
        let found = self.cursor.clone().take_while(|byte| !byte.is_ascii_whitespace());
        let length = found.len().max(self.cursor.char_length());
        let fix = match found {
            "&&" | "&" => "and",
            "||" | "|" => "or",
            ")" => "leave it out, or open it with (",
            _ => "join comparisons with `and` or `or`; a text with spaces stands in quotation marks",
        };
        let what = format!("{} does not belong here", Shown(&self.cursor.text[at..at + length]));
        ScenarioError::new(at, length, what, fix)
    }
}

#[cfg(test)]
#[path = "condition/tests.rs"]
mod tests;
