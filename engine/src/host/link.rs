//! The link that leads to a target: its name and its speed, as the kernel knows them.
//!
//! What it is: the longest prefix in the kernel's main routing table, and what the interface says of its speed.
//! What it is not: policy routing, or a measurement: a virtual interface may claim any speed, and loopback has none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

use report::Link;

/// The link that leads to all of `targets`; `None` where there are several, or the kernel does not say.
pub fn to(targets: impl IntoIterator<Item = IpAddr>) -> Option<Link> {
    let mut names = targets.into_iter().map(interface_to);
    let name = names.next()??;
    if !names.all(|other| other.as_ref() == Some(&name)) {
        return None;
    }
    let speed = std::fs::read_to_string(Path::new("/sys/class/net").join(&name).join("speed")).ok();
    let speed_bits_per_s = speed.and_then(|text| speed_of(&text));
    Some(Link { interface: name, speed_bits_per_s })
}

fn interface_to(target: IpAddr) -> Option<String> {
    if target.is_loopback() || is_ours(target) {
        return Some("lo".to_owned());
    }
    let (file, read): (_, fn(&str) -> Option<Route>) = match target {
        IpAddr::V4(_) => ("/proc/net/route", route_v4),
        IpAddr::V6(_) => ("/proc/net/ipv6_route", route_v6),
    };
    best(&std::fs::read_to_string(file).ok()?, read, target)
}

/// Whether the target is an address of this machine: then the kernel speaks to it from itself. No packet leaves.
fn is_ours(target: IpAddr) -> bool {
    let any: IpAddr = match target {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((target, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == target)
}

/// One line of a routing table.
struct Route {
    interface: String,
    /// Destination and mask, in the low bits where the address is short.
    destination: u128,
    mask: u128,
    metric: u32,
}

/// The interface of the most specific route, among equals that of the lowest metric.
fn best(table: &str, read: fn(&str) -> Option<Route>, target: IpAddr) -> Option<String> {
    let bits = match target {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let routes = table.lines().filter_map(read).filter(|route| bits & route.mask == route.destination);
    routes
        .max_by_key(|route| (route.mask.count_ones(), std::cmp::Reverse(route.metric)))
        .map(|route| route.interface)
}

/// A line of `/proc/net/route`: name, destination, gateway, flags, two counts, metric, mask; addresses as numbers of
/// this machine's byte order that hold bytes in network order.
fn route_v4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let address =
        |text: &str| Some(u128::from(u32::from_be_bytes(u32::from_str_radix(text, 16).ok()?.to_ne_bytes())));
    let (destination, mask) = (address(fields.get(1)?)?, address(fields.get(7)?)?);
    Some(Route {
        interface: (*fields.first()?).to_owned(),
        destination,
        mask,
        metric: fields.get(6)?.parse().ok()?,
    })
}

/// A line of `/proc/net/ipv6_route`: destination, its prefix length, source, its length, next hop, metric, two counts,
/// flags, name.
fn route_v6(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let length = u32::from_str_radix(fields.get(1)?, 16).ok().filter(|length| *length <= 128)?;
    let interface = (*fields.get(9)?).to_owned();
    // The kernel's rejecting default route stands on loopback.
    (interface != "lo").then_some(())?;
    Some(Route {
        interface,
        destination: u128::from_str_radix(fields.first()?, 16).ok()?,
        mask: u128::MAX.checked_shl(128 - length).unwrap_or(0),
        metric: u32::from_str_radix(fields.get(5)?, 16).ok()?,
    })
}

/// What an interface says of its speed, in megabits per second; -1 where it has none.
fn speed_of(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|speed| *speed > 0).map(|megabits: u64| megabits * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
        eth0 00000000 0100000A 0003 0 0 100 00000000 0 0 0\n\
        wlan0 00000000 0100A8C0 0003 0 0 600 00000000 0 0 0\n\
        veth1 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";

    const V6: &str = "\
        fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001 veth1\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_most_specific_route_wins_and_then_the_lowest_metric() {
        for (table, read, target, expected) in [
            (V4, route_v4 as fn(&str) -> Option<Route>, "10.0.0.7", Some("veth1")),
            (V4, route_v4, "10.0.1.7", Some("eth0")),
            ("", route_v4, "10.0.1.7", None),
            (V6, route_v6, "fd00::7", Some("veth1")),
            (V6, route_v6, "2001:db8::1", Some("eth0")),
        ] {
            let found = best(table, read, target.parse().expect("an address"));
            assert_eq!(found.as_deref(), expected, "{target}");
        }
    }

    #[test]
    fn speeds_are_megabits_or_nothing() {
        for (text, bits) in [("10000\n", Some(10_000_000_000)), ("-1\n", None), ("0", None), ("", None)] {
            assert_eq!(speed_of(text), bits, "{text:?}");
        }
    }

    #[test]
    fn loopback_has_no_speed_and_different_links_are_no_link() {
        let local = |text: &str| text.parse::<IpAddr>().expect("an address");
        let link = Link { interface: "lo".to_owned(), speed_bits_per_s: None };
        assert_eq!(to([local("127.0.0.1"), local("127.0.0.9")]), Some(link));
        assert_eq!(to([]), None);
    }
}
