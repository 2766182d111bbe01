//! `--source`: the addresses of this host that connections leave from.
//!
//! What it is: a list of addresses, ranges and blocks, as people write it: `10.0.0.1,10.0.0.4-10.0.0.9,10.0.1.0/28`.
//! What it is not: a look at the host, which may have none of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::PlanError;
use crate::text::quoted;

/// Most addresses in one list: each has tens of thousands of ports.
const SOURCES_MAX: usize = 4_096;

const EXAMPLE: &str = "e.g. 10.0.0.1,10.0.0.2 or 10.0.0.1-10.0.0.9 or 10.0.1.0/28";

/// Reads a list of addresses; each is taken once, in the order of its first mention.
pub fn parse_sources(text: &str) -> Result<Vec<IpAddr>, PlanError> {
    let mut sources: Vec<IpAddr> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = bounds(part)?;
        let too_many = || {
            PlanError::new(
                format!("{} stands for more than {SOURCES_MAX} addresses", quoted(text)),
                "fewer: each has ports for tens of thousands of connections",
            )
        };
        for number in first.number..=last {
            if sources.len() == SOURCES_MAX {
                return Err(too_many());
            }
            let address = first.with(number);
            if !sources.contains(&address) {
                sources.push(address);
            }
        }
    }
    Ok(sources)
}

/// An address as a number of its family.
#[derive(Copy, Clone)]
struct Numbered {
    number: u128,
    is_v4: bool,
}

impl Numbered {
    fn parse(text: &str) -> Result<Self, PlanError> {
        let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match plain.parse() {
            Ok(IpAddr::V4(address)) => Ok(Self { number: u32::from(address).into(), is_v4: true }),
            Ok(IpAddr::V6(address)) => Ok(Self { number: address.into(), is_v4: false }),
            Err(_) => Err(PlanError::new(format!("{} is not an address", quoted(text)), EXAMPLE)),
        }
    }

    fn with(self, number: u128) -> IpAddr {
        if self.is_v4 {
            Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into()
        } else {
            Ipv6Addr::from(number).into()
        }
    }
}

/// The first address that `part` stands for, and the number of the last one.
fn bounds(part: &str) -> Result<(Numbered, u128), PlanError> {
    if let Some((first, last)) = part.split_once('-') {
        let (first, last) = (Numbered::parse(first)?, Numbered::parse(last)?);
        if first.is_v4 != last.is_v4 || last.number < first.number {
            return Err(PlanError::new(format!("{} is not a range", quoted(part)), EXAMPLE));
        }
        return Ok((first, last.number));
    }
    let Some((base, prefix)) = part.split_once('/') else {
        let only = Numbered::parse(part)?;
        return Ok((only, only.number));
    };
    let base = Numbered::parse(base)?;
    let width: u32 = if base.is_v4 { 32 } else { 128 };
    let plain = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let Some(prefix) = prefix.parse::<u32>().ok().filter(|&prefix| plain && (1..=width).contains(&prefix))
    else {
        return Err(PlanError::new(format!("{} is not a block of addresses", quoted(part)), EXAMPLE));
    };
    // The block's lowest bits, all set.
    let rest = if prefix == width { 0 } else { u128::MAX >> (128 - (width - prefix)) };
    let (first, last) = (base.number & !rest, base.number | rest);
    // RFC 950 section 2.1, RFC 3021: the first and the last address of a network are nobody's, but in pairs.
    let inner = u128::from(base.is_v4 && prefix <= 30);
    Ok((Numbered { number: first + inner, ..base }, last - inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ranges_and_blocks() {
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.2, 10.0.0.1", "10.0.0.2 10.0.0.1"),
            ("10.0.0.1,10.0.0.1", "10.0.0.1"),
            ("10.0.0.254-10.0.1.1", "10.0.0.254 10.0.0.255 10.0.1.0 10.0.1.1"),
            ("10.0.0.9/30", "10.0.0.9 10.0.0.10"),
            ("10.0.0.9/31", "10.0.0.8 10.0.0.9"),
            ("10.0.0.9/32", "10.0.0.9"),
            ("::1,[fd00::1]", "::1 fd00::1"),
            ("fd00::f-fd00::11", "fd00::f fd00::10 fd00::11"),
            ("fd00::5/127,10.0.0.1", "fd00::4 fd00::5 10.0.0.1"),
            ("::/128", "::"),
        ] {
            let found: Vec<String> =
                parse_sources(text).expect(text).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
        assert_eq!(parse_sources("10.0.0.0/24").expect("a block").len(), 254);
        assert_eq!(parse_sources("10.0.0.0-10.0.15.255").expect("a range").len(), SOURCES_MAX);
    }

    #[test]
    fn wrong_lists_say_how_to_fix_them() {
        for (text, fragment) in [
            ("", "\"\" is not an address → e.g. 10.0.0.1,10.0.0.2"),
            ("10.0.0.1,", "\"\" is not an address"),
            ("eth0", "\"eth0\" is not an address"),
            ("10.0.0.1:80", "is not an address"),
            ("10.0.0.9-10.0.0.1", "is not a range"),
            ("10.0.0.1-::1", "is not a range"),
            ("10.0.0.1/", "is not a block"),
            ("10.0.0.1/+8", "is not a block"),
            ("10.0.0.1/0", "is not a block"),
            ("10.0.0.1/33", "is not a block"),
            ("::1/129", "is not a block"),
            ("10.0.0.0-10.0.16.0", "more than 4096 addresses"),
            ("::/1", "more than 4096 addresses"),
        ] {
            let message = parse_sources(text).expect_err(text).to_string();
            assert!(message.contains(fragment), "{text}: {message}");
        }
    }
}
