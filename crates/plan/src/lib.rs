//! The validated test plan, and the parsers of the texts that people describe it with.

#![forbid(unsafe_code)]

mod duration;
mod error;
mod lag;
mod rate;
mod text;

pub use duration::{LONGEST_DURATION_NS, duration_text, parse_duration};
pub use error::{Place, PlanError};
pub use lag::MaxLag;
pub use rate::{parse_rate, rate_text};
pub use schedule::Rate;
pub use text::{parse_count, parse_millionths, quoted};
