//! Sizes in bytes as people write them: `512`, `64k`, `1MiB`, `10MB`.
//!
//! `k`, `M`, `G`, also with `iB`, are powers of 1,024; `kB`, `MB`, `GB` are powers of 1,000; a bare number is bytes.

use crate::PlanError;
use crate::text::{Decimal, quoted};

/// Reads a size, in bytes.
pub fn parse_size(text: &str) -> Result<u64, PlanError> {
    let wrong = |what: &str| {
        PlanError::new(
            format!("{} {what}", quoted(text)),
            "bytes, or k, M, G (1024) or kB, MB, GB (1000), e.g. 64k, 1MiB",
        )
    };
    if text.is_empty() {
        return Err(PlanError::new("the size is empty: is a variable unset?", "e.g. 64k, 1MiB"));
    }
    let (number, suffix) = Decimal::prefix(text).ok_or_else(|| wrong("is not a size"))?;
    let unit: u64 = match suffix {
        "" | "B" => 1,
        "k" | "K" | "KiB" | "kiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(wrong("is not a size")),
    };
    match number.scaled(u128::from(unit), 1) {
        Some((bytes, true)) => Ok(bytes),
        Some((_, false)) => Err(wrong("is not a whole number of bytes")),
        None => Err(wrong("is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("10B", 10),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("1M", 1_048_576),
            ("1.5M", 1_572_864),
            ("10MB", 10_000_000),
            ("2kB", 2_000),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn wrong_sizes_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "is a variable unset?"),
            ("big", "is not a size"),
            ("-1", "is not a size"),
            ("64kb", "is not a size"),
            ("1 MiB", "is not a size"),
            ("0.3", "not a whole number of bytes"),
            ("99999999999999999G", "is too large"),
        ] {
            let message = parse_size(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
