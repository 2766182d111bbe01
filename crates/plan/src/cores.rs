//! Which processor cores the shards get: `all`, a number, or a list such as `0-3,8`.

use crate::PlanError;
use crate::text::quoted;

/// The highest core number that a list may name.
const HIGHEST_CORE: u16 = 4_095;

/// Which cores the shards get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cores {
    /// Every core that the process may run on.
    #[default]
    All,
    /// So many of them.
    Count(u16),
    /// These, rising, each once, at least one.
    List(Vec<u16>),
}

impl Cores {
    /// Reads `all`, `4` or `0-3,8`. A single number is a count; the list of one core is written `5-5`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let wrong = |what: &str, fix: &str| PlanError::new(format!("{} {what}", quoted(text)), fix);
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(count) = number(text) {
            return match count {
                0 => Err(wrong("is no core", "at least 1, or all")),
                count if count > HIGHEST_CORE => {
                    Err(wrong("is more cores than any host has", "at most 4095, or all"))
                }
                count => Ok(Self::Count(count)),
            };
        }
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(wrong("names no cores", "all, a number of cores, or a list such as 0-3,8"));
            };
            if first > last {
                return Err(wrong("has a range that runs backwards", &format!("{last}-{first}")));
            }
            if last > HIGHEST_CORE {
                return Err(wrong("names a core that no host has", "0 to 4095"));
            }
            cores.extend(first..=last);
        }
        cores.sort_unstable();
        if cores.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong("names a core twice", "each core once: a shard has a core of its own"));
        }
        Ok(Self::List(cores))
    }
}

fn number(text: &str) -> Option<u16> {
    let plain = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_cores() {
        for (text, cores) in [
            ("all", Cores::All),
            ("1", Cores::Count(1)),
            ("64", Cores::Count(64)),
            ("0-3,8", Cores::List(vec![0, 1, 2, 3, 8])),
            ("8,0-1", Cores::List(vec![0, 1, 8])),
            ("5-5", Cores::List(vec![5])),
        ] {
            assert_eq!(Cores::parse(text), Ok(cores), "{text}");
        }
    }

    #[test]
    fn wrong_cores_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "names no cores"),
            ("0", "at least 1, or all"),
            ("ALL", "names no cores"),
            ("-1", "names no cores"),
            ("3-0", "runs backwards → 0-3"),
            ("0-3,3", "names a core twice"),
            ("0,,1", "names no cores"),
            ("0-", "names no cores"),
            ("0-1-2", "names no cores"),
            ("0-5000", "0 to 4095"),
            ("5000", "more cores than any host has"),
            ("1.5", "names no cores"),
            ("0-99999999", "names no cores"),
        ] {
            let message = Cores::parse(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
