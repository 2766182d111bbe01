//! A value that is never shown.

use std::fmt;

/// A secret: it can be used and compared, not printed. `Debug` says only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub(crate) const fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that sends it. Never print it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}
