//! The expressions between the double braces of a template: names, literals and functions.
//!
//! ```text
//! expression = text | number | name [ "." name ] | name "(" [ expression { "," expression } ] ")"
//! ```
//!
//! What is checked here: the syntax, that functions exist and have the right number of arguments. What is not: whether
//! names exist; that needs the scenario (see [`crate::validate`]).

use crate::cursor::Cursor;
use crate::error::{ScenarioError, Shown};
use crate::name::{NAME_MAX, fix_for};

/// Deepest nesting of calls in an expression.
pub(crate) const CALL_DEPTH_MAX: usize = 8;
/// Most arguments of a function.
const ARGUMENTS_MAX: usize = 64;

/// What stands between the double braces of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// At which byte of its template it begins.
    pub offset: usize,
    /// How many bytes it is long.
    pub length: usize,
    /// What it is.
    pub kind: ExpressionKind,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionKind {
    /// A text, or a number as it was written.
    Literal(String),
    /// A variable, constant or loop counter.
    Variable(String),
    /// A column of the row that the iteration has from a feeder.
    Column {
        /// The feeder.
        feeder: String,
        /// The column.
        column: String,
    },
    /// A secret of the plan.
    Secret(String),
    /// A variable that the setup steps extracted.
    Setup(String),
    /// A function of other expressions.
    Call(Function, Vec<Expression>),
}

macro_rules! functions {
    ($($(#[$comment:meta])* $variant:ident, $name:literal, $least:literal, $most:expr;)*) => {
        /// The functions of the expression language.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Function {
            $($(#[$comment])* $variant,)*
        }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name by which it is called.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// How few and how many arguments it takes.
            pub const fn arguments(self) -> (usize, usize) {
                match self { $(Self::$variant => ($least, $most)),* }
            }
        }
    };
}

functions! {
    /// `uuid()`: a random UUID, version 4.
    Uuid, "uuid", 0, 0;
    /// `iteration()`: the number of the iteration's slot in the whole plan.
    Iteration, "iteration", 0, 0;
    /// `user()`: the number of the user; in the open model that of the iteration.
    User, "user", 0, 0;
    /// `random(low, high)`: a whole number, both ends included.
    Random, "random", 2, 2;
    /// `pick(a, b, …)`: one of its arguments, each equally likely.
    Pick, "pick", 1, ARGUMENTS_MAX;
    /// `normal(mean, deviation)`: a whole number of the normal law, from 0 to ten times its mean.
    Normal, "normal", 2, 2;
    /// `exponential(mean)`: a whole number of the exponential law, at most ten times its mean.
    Exponential, "exponential", 1, 1;
    /// `add(a, b)`: the sum of two whole numbers.
    Add, "add", 2, 2;
    /// `timestamp()`: Unix time in seconds.
    Timestamp, "timestamp", 0, 0;
    /// `timestamp_ms()`: Unix time in milliseconds.
    TimestampMs, "timestamp_ms", 0, 0;
    /// `iso()`: the time as RFC 3339 in UTC, with milliseconds.
    Iso, "iso", 0, 0;
    /// `base64(x)`: with padding.
    Base64, "base64", 1, 1;
    /// `base64url(x)`: the alphabet that is safe in URLs, without padding.
    Base64Url, "base64url", 1, 1;
    /// `hex(x)`: two lower-case digits for each byte.
    Hex, "hex", 1, 1;
    /// `sha256(x)`: in hexadecimal.
    Sha256, "sha256", 1, 1;
    /// `hmac_sha256(key, x)`: in hexadecimal.
    HmacSha256, "hmac_sha256", 2, 2;
    /// `md5(x)`: in hexadecimal.
    Md5, "md5", 1, 1;
    /// `url(x)`: percent-encoded as a component of a URL.
    Url, "url", 1, 1;
    /// `json(x)`: escaped for the inside of a JSON string.
    Json, "json", 1, 1;
    /// `as_number(x)`: a number as JSON writes it; anything else ends the iteration. Alone in a text of a JSON body it stands
    /// there without quotation marks.
    Number, "as_number", 1, 1;
    /// `upper(x)`: ASCII letters in upper case.
    Upper, "upper", 1, 1;
    /// `lower(x)`: ASCII letters in lower case.
    Lower, "lower", 1, 1;
}

impl Function {
    /// The function of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }

    /// Whether it gives another value at each call.
    pub const fn draws(self) -> bool {
        matches!(self, Self::Uuid | Self::Random | Self::Pick | Self::Normal | Self::Exponential)
    }
}

/// Words that name something else and therefore no variable or feeder.
pub(crate) const RESERVED: &[&str] = &["secret", "setup"];

impl Expression {
    /// Reads an expression; what follows it is left.
    pub(crate) fn parse(cursor: &mut Cursor<'_>, depth: usize) -> Result<Self, ScenarioError> {
        cursor.skip_space();
        let offset = cursor.at;
        let kind = match cursor.peek() {
            Some(b'"' | b'\'') => ExpressionKind::Literal(cursor.take_quoted()?),
            Some(b'0'..=b'9' | b'-') => number(cursor)?,
            _ => named(cursor, depth)?,
        };
        Ok(Self { offset, length: cursor.at - offset, kind })
    }

    /// Calls `visit` with this expression and all within it.
    pub fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        if let ExpressionKind::Call(_, arguments) = &self.kind {
            for argument in arguments {
                argument.walk(visit);
            }
        }
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<ExpressionKind, ScenarioError> {
    let start = cursor.at;
    cursor.take("-");
    let whole = cursor.take_while(|byte| byte.is_ascii_digit());
    let fraction_is_there = cursor.take(".");
    let fraction = cursor.take_while(|byte| byte.is_ascii_digit());
    let text = &cursor.text[start..cursor.at];
    if whole.is_empty() || (fraction_is_there && fraction.is_empty()) {
        let length = text.len().max(1);
        return Err(ScenarioError::new(
            start,
            length,
            format!("{} is not a number", Shown(text)),
            "e.g. 42, -1 or 0.5",
        ));
    }
    Ok(ExpressionKind::Literal(text.to_owned()))
}

fn named(cursor: &mut Cursor<'_>, depth: usize) -> Result<ExpressionKind, ScenarioError> {
    let start = cursor.at;
    let name = cursor.take_name();
    if name.is_empty() {
        return Err(nothing(cursor));
    }
    if name.len() > NAME_MAX {
        return Err(ScenarioError::new(start, name.len(), "the name is too long", "at most 64 letters"));
    }
    if cursor.take(".") {
        return dotted(cursor, name, start);
    }
    let after = cursor.at;
    cursor.skip_space();
    if cursor.take("(") {
        return call(cursor, name, start, depth);
    }
    cursor.at = after;
    match Function::named(name) {
        Some(function) if function.arguments().0 == 0 => Ok(ExpressionKind::Call(function, Vec::new())),
        Some(function) => Err(wrong_count(function, 0, start, name.len())),
        None if RESERVED.contains(&name) => {
            Err(ScenarioError::new(start, name.len(), format!("{name} stands alone"), format!("{name}.NAME")))
        }
        None => Ok(ExpressionKind::Variable(name.to_owned())),
    }
}

/// What to say when no expression begins where one should.
fn nothing(cursor: &Cursor<'_>) -> ScenarioError {
    let rest = cursor.rest();
    if rest.is_empty() {
        return ScenarioError::new(
            cursor.at,
            0,
            "the expression is not finished",
            "e.g. {{name}}, closed with }}",
        );
    }
    if rest.starts_with("}}") || rest.starts_with([',', ')']) {
        return ScenarioError::new(cursor.at, 1, "there is no expression here", "e.g. {{name}} or {{uuid}}");
    }
    let length = cursor.char_length();
    let what = format!("{} begins no expression", Shown(&rest[..length]));
    ScenarioError::new(cursor.at, length, what, "a name, a text in quotation marks, a number or a function")
}

fn dotted(cursor: &mut Cursor<'_>, owner: &str, start: usize) -> Result<ExpressionKind, ScenarioError> {
    let member = match cursor.peek() {
        Some(b'"' | b'\'') => cursor.take_quoted()?,
        _ => cursor.take_name().to_owned(),
    };
    if member.is_empty() {
        let fix = format!("{owner}.NAME, or {owner}.\"a name with spaces\"");
        return Err(ScenarioError::new(start, cursor.at - start, "there is no name after the dot", fix));
    }
    Ok(match owner {
        "secret" => ExpressionKind::Secret(member),
        "setup" => ExpressionKind::Setup(member),
        _ => ExpressionKind::Column { feeder: owner.to_owned(), column: member },
    })
}

fn call(
    cursor: &mut Cursor<'_>,
    name: &str,
    start: usize,
    depth: usize,
) -> Result<ExpressionKind, ScenarioError> {
    let Some(function) = Function::named(name) else {
        let names: Vec<&str> = Function::ALL.iter().map(|function| function.name()).collect();
        let fix = fix_for(name, &names, "");
        return Err(ScenarioError::new(start, name.len(), format!("there is no function {name}"), fix));
    };
    if depth == CALL_DEPTH_MAX {
        let what = format!("functions are nested deeper than {CALL_DEPTH_MAX}");
        return Err(ScenarioError::new(start, name.len(), what, "put a part into a variable with `set`"));
    }
    let mut arguments = Vec::new();
    cursor.skip_space();
    while !cursor.take(")") {
        if !arguments.is_empty() && !cursor.take(",") {
            let what = format!("the brackets of {name} are not closed");
            return Err(ScenarioError::new(cursor.at, cursor.char_length(), what, "a comma, or )"));
        }
        arguments.push(Expression::parse(cursor, depth + 1)?);
        if arguments.len() > function.arguments().1 {
            let length = cursor.at - start;
            return Err(wrong_count(function, arguments.len(), start, length));
        }
        cursor.skip_space();
    }
    let (least, _) = function.arguments();
    if arguments.len() < least {
        return Err(wrong_count(function, arguments.len(), start, cursor.at - start));
    }
    Ok(ExpressionKind::Call(function, arguments))
}

fn wrong_count(function: Function, count: usize, start: usize, length: usize) -> ScenarioError {
    let name = function.name();
    let (least, most) = function.arguments();
    let wanted = match (least, most) {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (least, most) if least == most => format!("{least} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    };
    let example = match function {
        Function::Random => "random(1, 100)".to_owned(),
        Function::Pick => "pick(\"a\", \"b\")".to_owned(),
        Function::HmacSha256 => "hmac_sha256(secret.key, text)".to_owned(),
        Function::Normal => "normal(1000, 200)".to_owned(),
        Function::Exponential => "exponential(1000)".to_owned(),
        Function::Add => "add(page, 1)".to_owned(),
        _ if most == 0 => name.to_owned(),
        _ => format!("{name}(text)"),
    };
    let given = if count > most { "more".to_owned() } else { count.to_string() };
    ScenarioError::new(
        start,
        length,
        format!("{name} takes {wanted}, not {given}"),
        format!("e.g. {example}"),
    )
}
