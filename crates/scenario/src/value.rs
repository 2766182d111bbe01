//! Hot path. Compiled templates, and what they become when they are filled in.
//!
//! Everything is written to the end of a buffer: an argument first, then what a function makes of it in its place. Nothing
//! allocates when the buffer has room.

use crate::arena::Variables;
use crate::draw::Draws;
use crate::encode::{self, Alphabet};
use crate::expression::Function;

/// Why an iteration failed by itself, without a fault of the target's that was counted before.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// A variable was used that no step on the way had set, or a row, secret or token was missing.
    Unset,
    /// A value that was to be extracted was not in the response.
    Extract,
    /// What was filled into a header or URL held a line break, a space in a URL, or another control character.
    Injection,
    /// What should have been a whole number in a range was none.
    Number,
    /// The variables of the iteration became longer than the plan's limit.
    Variables,
    /// A response's body could not be decoded, or was longer than the plan's limit when decoded.
    Body,
    /// A redirect led nowhere: it named no URL that could be understood.
    Redirect,
}

/// What an iteration is filled in from, beside its own variables. What an implementation leaves out, it has not.
pub trait Values {
    /// The value of a column of the iteration's row, by the index in [`crate::Program::columns`].
    fn column(&self, _index: u16) -> Option<&[u8]> {
        None
    }
    /// A secret, by its index in the plan.
    fn secret(&self, _index: u16) -> Option<&[u8]> {
        None
    }
    /// A variable that setup extracted, by its index in the plan.
    fn setup(&self, _index: u16) -> Option<&[u8]> {
        None
    }
    /// The bytes of a file, by the index in [`crate::Program::files`].
    fn file(&self, _index: u16) -> Option<&[u8]> {
        None
    }
    /// The OAuth 2 token, by the index in [`crate::Program::tokens`].
    fn token(&self, _index: u16) -> Option<&[u8]> {
        None
    }
}

/// Nothing to fill in from.
impl Values for () {}

/// Most bytes of a body that are made up: 1 GiB.
pub const MADE_BYTES_MAX: u64 = 1 << 30;

/// A compiled value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Literal(Box<[u8]>),
    Variable(u16),
    Column(u16),
    Secret(u16),
    Setup(u16),
    File(u16),
    Token(u16),
    Call(Function, Box<[Self]>),
    /// One behind the other.
    Concat(Box<[Self]>),
    /// Made-up bytes, so many.
    Made(Amount),
}

/// How many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    Given(Box<Value>),
    Uniform { low: u64, high: u64 },
    Exponential { mean: u64 },
    Normal { mean: u64, deviation: u64 },
}

impl Value {
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match self {
            Self::Literal(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Everything that values come from.
pub(crate) struct Filler<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) values: &'a dyn Values,
    pub(crate) draws: &'a mut Draws,
    pub(crate) slot: u64,
    pub(crate) user: u64,
    pub(crate) unix_ns: u64,
}

impl Filler<'_> {
    /// Appends a value.
    pub(crate) fn push(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<(), Failure> {
        let found = match value {
            Value::Literal(bytes) => Some(&**bytes),
            Value::Variable(index) => self.variables.value(*index),
            Value::Column(index) => self.values.column(*index),
            Value::Secret(index) => self.values.secret(*index),
            Value::Setup(index) => self.values.setup(*index),
            Value::File(index) => self.values.file(*index),
            Value::Token(index) => self.values.token(*index),
            Value::Call(function, arguments) => return self.call(*function, arguments, out),
            Value::Concat(values) => return values.iter().try_for_each(|value| self.push(value, out)),
            Value::Made(amount) => return self.make(amount, out),
        };
        out.extend_from_slice(found.ok_or(Failure::Unset)?);
        Ok(())
    }

    /// The value as a whole number.
    pub(crate) fn number(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<i64, Failure> {
        let start = out.len();
        self.push(value, out)?;
        let number = std::str::from_utf8(out[start..].trim_ascii()).ok().and_then(|text| text.parse().ok());
        out.truncate(start);
        number.ok_or(Failure::Number)
    }

    /// The value as a whole number of things.
    fn count(&mut self, value: &Value, out: &mut Vec<u8>) -> Result<u64, Failure> {
        u64::try_from(self.number(value, out)?).map_err(|_| Failure::Number)
    }

    fn make(&mut self, amount: &Amount, out: &mut Vec<u8>) -> Result<(), Failure> {
        let count = match amount {
            Amount::Given(value) => self.count(value, out)?,
            Amount::Uniform { low, high } => self.draws.uniform(*low, *high),
            Amount::Exponential { mean } => self.draws.exponential(*mean),
            Amount::Normal { mean, deviation } => self.draws.normal(*mean, *deviation),
        };
        let count = usize::try_from(count).ok().filter(|_| count <= MADE_BYTES_MAX).ok_or(Failure::Number)?;
        let start = out.len();
        out.resize(start + count, 0);
        self.draws.fill(&mut out[start..]);
        Ok(())
    }

    fn call(&mut self, function: Function, arguments: &[Value], out: &mut Vec<u8>) -> Result<(), Failure> {
        match function {
            Function::Uuid => push_uuid(self.draws.pair(), out),
            Function::Iteration => encode::push_number(self.slot, out),
            Function::User => encode::push_number(self.user, out),
            Function::Timestamp => encode::push_number(self.unix_ns / 1_000_000_000, out),
            Function::TimestampMs => encode::push_number(self.unix_ns / 1_000_000, out),
            Function::Iso => encode::push_iso(self.unix_ns, out),
            Function::Random => {
                let (low, high) = (self.number(&arguments[0], out)?, self.number(&arguments[1], out)?);
                if low > high {
                    return Err(Failure::Number);
                }
                encode::push_signed(self.draws.between(low, high), out);
            }
            Function::Normal => {
                let (mean, deviation) = (self.count(&arguments[0], out)?, self.count(&arguments[1], out)?);
                encode::push_number(self.draws.normal(mean, deviation), out);
            }
            Function::Exponential => {
                let mean = self.count(&arguments[0], out)?;
                encode::push_number(self.draws.exponential(mean), out);
            }
            Function::Add => {
                let (left, right) = (self.number(&arguments[0], out)?, self.number(&arguments[1], out)?);
                encode::push_signed(left.checked_add(right).ok_or(Failure::Number)?, out);
            }
            Function::Pick => {
                let chosen = self.draws.below(arguments.len() as u64);
                let chosen = usize::try_from(chosen).unwrap_or_default();
                self.push(&arguments[chosen], out)?;
            }
            Function::HmacSha256 => {
                let start = out.len();
                self.push(&arguments[0], out)?;
                let middle = out.len();
                self.push(&arguments[1], out)?;
                let digest = encode::hmac_sha256(&out[start..middle], &out[middle..]);
                out.truncate(start);
                encode::push_hex(&digest, out);
            }
            _ => self.rewrite(function, &arguments[0], out)?,
        }
        Ok(())
    }

    /// The functions that make one text of another.
    fn rewrite(&mut self, function: Function, argument: &Value, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        self.push(argument, out)?;
        match function {
            Function::Base64 => encode::replace(out, start, Alphabet::Base64),
            Function::Base64Url => encode::replace(out, start, Alphabet::Base64Url),
            Function::Hex => encode::replace(out, start, Alphabet::Hex),
            Function::Url => encode::replace(out, start, Alphabet::Percent),
            Function::Json => encode::replace(out, start, Alphabet::Json),
            Function::Number if !encode::is_json_number(&out[start..]) => return Err(Failure::Number),
            Function::Number => {}
            Function::Upper => out[start..].make_ascii_uppercase(),
            Function::Lower => out[start..].make_ascii_lowercase(),
            Function::Sha256 => {
                let digest = encode::sha256(&out[start..]);
                out.truncate(start);
                encode::push_hex(&digest, out);
            }
            _ => {
                let digest = encode::md5(&out[start..]);
                out.truncate(start);
                encode::push_hex(&digest, out);
            }
        }
        Ok(())
    }
}

/// A UUID of version 4 (RFC 9562 §5.4) from random bits.
fn push_uuid([left, right]: [u64; 2], out: &mut Vec<u8>) {
    let left = left & !0xf000 | 0x4000;
    let right = right & !(3 << 62) | 2 << 62;
    let (left, right) = (left.to_be_bytes(), right.to_be_bytes());
    for (index, part) in
        [&left[..4], &left[4..6], &left[6..], &right[..2], &right[2..]].into_iter().enumerate()
    {
        if index > 0 {
            out.push(b'-');
        }
        encode::push_hex(part, out);
    }
}
