//! Which response statuses count as failures.

use crate::PlanError;
use crate::text::quoted;

/// A set of statuses: inclusive ranges, rising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// No status.
    pub const NONE: Self = Self(Vec::new());

    /// Reads `none`, or statuses such as `500`, `400-499`, `5xx`, separated by commas.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let wrong = || {
            PlanError::new(
                format!("{} names no statuses", quoted(text)),
                "e.g. 400-599, 4xx,5xx or 500,503, or none",
            )
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.strip_suffix("xx") {
                Some(class) if class.len() == 1 => {
                    (status(&format!("{class}00")), status(&format!("{class}99")))
                }
                _ => {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    (status(first), status(last))
                }
            };
            let (Some(first), Some(last)) = (first, last) else { return Err(wrong()) };
            if first > last {
                return Err(wrong());
            }
            ranges.push((first, last));
        }
        ranges.sort_unstable();
        Ok(Self(ranges))
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}

impl Default for StatusSet {
    /// Client and server errors: 400 to 599.
    fn default() -> Self {
        Self(vec![(400, 599)])
    }
}

fn status(text: &str) -> Option<u16> {
    let plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|status| plain && (100..=999).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        for (text, inside, outside) in [
            ("400-599", &[400, 404, 599][..], &[200, 399, 600][..]),
            ("5xx,429", &[429, 500, 599], &[428, 499]),
            ("500,503", &[500, 503], &[501]),
            ("none", &[], &[200, 500]),
        ] {
            let set = StatusSet::parse(text).expect(text);
            assert!(inside.iter().all(|&status| set.contains(status)), "{text}");
            assert!(!outside.iter().any(|&status| set.contains(status)), "{text}");
        }
        assert_eq!(StatusSet::parse("4xx,5xx").map(|set| set.contains(450)), Ok(true));
        for text in ["", "4", "99", "abc", "500-400", "xx", "4xxx", "40x", "500,", "+50", "5xx-6xx"] {
            assert!(
                StatusSet::parse(text).expect_err(text).to_string().contains("names no statuses"),
                "{text}"
            );
        }
    }
}
