//! `limits:` — what an iteration may take of memory and of names.

use super::fields::{Fields, whole};
use super::problem::Problems;
use super::tree::Node;
use crate::{PlanError, parse_size};

/// The keys of `limits:`.
pub(crate) const LIMITS_KEYS: [&str; 3] = ["body", "variables", "names"];

/// What iterations may take.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PlanLimits {
    /// Bytes of a response's body that are looked at, decoded.
    pub body_bytes: u64,
    /// Bytes of the variables of an iteration.
    pub variables_bytes: u64,
    /// Names that have figures of their own; the rest are counted as `other`.
    pub names: u32,
}

impl Default for PlanLimits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, variables_bytes: 64 << 10, names: 100 }
    }
}

/// Reads the limits.
pub(crate) fn limits(node: &Node, problems: &mut Problems) -> Option<PlanLimits> {
    let fields = Fields::of(node, "limits", &LIMITS_KEYS, problems)?;
    let standard = PlanLimits::default();
    let size = |most: u64, told: &'static str| {
        move |text: &str| match parse_size(text)? {
            bytes if (1..=most).contains(&bytes) => Ok(bytes),
            _ => Err(PlanError::new("this is no sensible limit", told)),
        }
    };
    let names = |text: &str| match whole(1)(text)? {
        count if count <= 10_000 => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        count => Err(PlanError::new(format!("{count} names are too many"), "at most 10000")),
    };
    Some(PlanLimits {
        body_bytes: fields
            .parse("body", problems, size(1 << 30, "up to 1GiB"))
            .unwrap_or(standard.body_bytes),
        variables_bytes: fields
            .parse("variables", problems, size(16 << 20, "up to 16MiB"))
            .unwrap_or(standard.variables_bytes),
        names: fields.parse("names", problems, names).unwrap_or(standard.names),
    })
}
