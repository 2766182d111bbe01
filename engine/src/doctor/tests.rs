//! The doctor on hosts that the tests made up, and on the one that runs them.

use uring::Features;

use super::*;
use crate::host::{Conntrack, DescriptorLimit};

/// A host where nothing stands in the way.
fn healthy() -> Facts {
    Facts {
        kernel: Some("6.18.44".into()),
        host: Some("lab-1".into()),
        cores: vec![0, 1, 2, 3],
        physical_cores: Some(4),
        governor: Some("performance".into()),
        clock_source: Some("tsc".into()),
        memory_available_bytes: Some(16 << 30),
        locked_memory_limit_bytes: Some(8 << 20),
        descriptors: DescriptorLimit { soft: 20_000, hard: 20_000 },
        local_ports: Some(32_768..=60_999),
        time_wait_reuse: Some(TimeWaitReuse::Loopback),
        time_wait_limit: Some(131_072),
        congestion_control: Some("cubic".into()),
        listen_queue_limit: Some(4_096),
        io_uring_disabled: Some(0),
        ..Facts::default()
    }
}

fn ring(ring: Result<Features, Refusal>) -> uring::Facts {
    uring::Facts {
        kernel_release: "6.18.44".into(),
        disabled_sysctl: Some(0),
        locked_memory_limit_bytes: Some(8 << 20),
        ring,
    }
}

fn whole_ring() -> uring::Facts {
    ring(Ok(Features { is_timed_absolutely: true, is_registered: true }))
}

/// The line that begins with this mark and name, and those that belong to it.
fn passage<'a>(report: &'a str, mark: &str, name: &str) -> Vec<&'a str> {
    let head = format!("{mark:<4}{name}");
    let mut lines = report.lines().skip_while(|line| !line.starts_with(&head));
    let first = lines.next().unwrap_or_else(|| panic!("no line {head:?} in\n{report}"));
    std::iter::once(first).chain(lines.take_while(|line| line.starts_with("    "))).collect()
}

#[test]
fn a_healthy_host_gets_only_good_marks() {
    let report = report(&healthy(), &whole_ring(), None);
    assert!(report.starts_with("lab-1, Linux 6.18.44, 4 cores\n\n"), "{report}");
    assert!(report.ends_with("A default run is possible here, and nothing stands in its way.\n"), "{report}");
    let body = report.lines().skip(2).take_while(|line| !line.is_empty());
    let marks: Vec<&str> = body.filter(|line| !line.starts_with("    ")).map(|line| &line[..4]).collect();
    assert_eq!(marks, ["ok  "; 18], "{report}");
    assert_eq!(exit_code(&healthy(), &whole_ring(), None), ExitCode::Passed);
}

#[test]
fn every_ailment_has_its_mark_its_consequence_and_its_cure() {
    type Spoil = fn(&mut Facts);
    let rows: [(Spoil, &str, &str, &str, &str); 14] = [
        (
            |f| f.descriptors.soft = 500,
            "!",
            "descriptors",
            "a run opens 460 connections at most",
            "ulimit -n 4096",
        ),
        (
            |f| f.descriptors.soft = 40,
            "x",
            "descriptors",
            "one connection to the built-in target needs 50",
            "ulimit -n 4096",
        ),
        (|f| f.local_ports = Some(1_000..=1_099), "!", "local ports", "local_resource", WIDER_PORTS),
        (
            |f| f.time_wait_reuse = Some(TimeWaitReuse::Never),
            "!",
            "port reuse",
            "470 closes a second",
            "sysctl -w net.ipv4.tcp_tw_reuse=1",
        ),
        (|f| f.memory_available_bytes = Some(1 << 20), "x", "memory", "need about", "fewer connections"),
        (|f| f.memory_room_bytes = Some(1 << 20), "x", "memory", "1,024 connections", "have more"),
        (|f| f.cores = vec![3], "!", "cores", "each would delay the other", "built-in target"),
        (|f| f.cpu_quota_millicores = Some(1_500), "!", "CPU quota", "1.5 of 4 cores", "--cpus=N"),
        (|f| f.governor = Some("powersave".into()), "!", "governor", "slowly", "echo performance | tee"),
        (|f| f.clock_source = Some("hpet".into()), "!", "clock source", "system call", "echo tsc >"),
        (
            |f| f.congestion_control = Some("bbr".into()),
            "!",
            "congestion control",
            "spaces packets out",
            "tcp_congestion_control=cubic",
        ),
        (
            |f| f.conntrack = Some(Conntrack { count: Some(7), limit: 65_536 }),
            "!",
            "conntrack",
            "7 of 65,536 connections",
            "notrack",
        ),
        (|f| f.listen_queue_limit = Some(128), "!", "listen queue", "all at once", "somaxconn=4096"),
        (|f| f.congestion_control = Some("bbr2".into()), "!", "congestion control", "bbr2", "cubic"),
    ];
    for (spoil, mark, name, consequence, cure) in rows {
        let mut facts = healthy();
        spoil(&mut facts);
        let report = report(&facts, &whole_ring(), None);
        let passage = passage(&report, mark, name).join(" ");
        let plain = passage.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(consequence) && plain.contains(cure), "{name}: {plain}");
        let expected = if mark == "x" { ExitCode::Environment } else { ExitCode::Passed };
        assert_eq!(exit_code(&facts, &whole_ring(), None), expected, "{name}");
        let conclusion = if mark == "x" {
            "is not possible here: 1 thing must change (x)."
        } else {
            "could be better (!)."
        };
        assert!(report.trim_end().ends_with(conclusion), "{report}");
    }
}

#[test]
fn wanted_connections_are_judged() {
    for (connections, fits, fragment) in [
        (19_960, true, "A run with 19,960 connections is possible here"),
        (19_961, false, "19,961 connections on 4 shards need 20,001"),
    ] {
        let report = report(&healthy(), &whole_ring(), Some(connections));
        assert!(report.contains(fragment), "{report}");
        let expected = if fits { ExitCode::Passed } else { ExitCode::Environment };
        assert_eq!(exit_code(&healthy(), &whole_ring(), Some(connections)), expected);
    }
    let roomy = Facts { descriptors: DescriptorLimit::default(), ..healthy() };
    let many = report(&roomy, &whole_ring(), Some(28_233));
    assert!(passage(&many, "x", "local ports").join(" ").contains(WIDER_PORTS), "{many}");
}

#[test]
fn a_refused_ring_is_no_obstacle_but_says_its_cure() {
    for (refusal, cure) in [
        (Refusal::Disabled { value: 2 }, "sysctl -w kernel.io_uring_disabled=0"),
        (Refusal::Forbidden, "seccomp"),
        (Refusal::Missing, "CONFIG_IO_URING=y"),
        (Refusal::Memory { limit_bytes: Some(0) }, "LimitMEMLOCK="),
        (
            Refusal::TooOld { release: "5.10.0".into(), lacking: "multishot receive" },
            "it lacks multishot receive",
        ),
    ] {
        let refused = ring(Err(refusal));
        let report = report(&healthy(), &refused, None);
        let plain = report.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(cure), "{report}");
        assert!(passage(&report, "!", "io_uring")[0].contains("epoll serves instead"), "{report}");
        assert_eq!(passage(&report, "ok", "epoll").len(), 1);
        assert_eq!(exit_code(&healthy(), &refused, None), ExitCode::Passed);
    }
    let memory = report(&healthy(), &ring(Err(Refusal::Memory { limit_bytes: Some(0) })), None);
    assert!(passage(&memory, "!", "locked memory").join(" ").contains("ulimit -l unlimited"), "{memory}");
    let older =
        report(&healthy(), &ring(Ok(Features { is_timed_absolutely: false, is_registered: false })), None);
    assert!(passage(&older, "!", "  wait").join(" ").contains("6.12"), "{older}");
    assert!(passage(&older, "!", "  descriptor").join(" ").contains("5.18"), "{older}");
}

#[test]
fn lines_fit_and_hold_nothing_that_a_terminal_obeys() {
    let hostile = Facts {
        host: Some("evil\u{1b}[31m\nx  forged".into()),
        governor: Some("power\u{7}".into()),
        cpu_quota_millicores: Some(500),
        conntrack: Some(Conntrack { count: None, limit: 1 }),
        congestion_control: Some("bbr".into()),
        clock_source: Some("hpet".into()),
        descriptors: DescriptorLimit { soft: 1, hard: 1 },
        cores: vec![0, 1],
        physical_cores: Some(1),
        ..Facts::default()
    };
    for refused in [ring(Err(Refusal::Forbidden)), ring(Err(Refusal::Memory { limit_bytes: None }))] {
        let report = report(&hostile, &refused, Some(u32::MAX));
        for line in report.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(line, line.trim_end());
        }
        assert!(!report.contains("\nx  forged"), "{report}");
    }
}

#[test]
fn hidden_facts_are_said_to_be_hidden_and_refuse_nothing() {
    let hidden = Facts { cores: vec![0, 1], ..Facts::default() };
    let report = report(&hidden, &whole_ring(), None);
    assert_eq!(report.matches("cannot be seen from here").count(), 6, "{report}");
    assert_eq!(exit_code(&hidden, &whole_ring(), None), ExitCode::Passed);
}

#[test]
fn this_machine_can_be_examined() {
    let (report, exit) = examine(None);
    assert!(report.lines().count() > 12, "{report}");
    assert_eq!(exit, ExitCode::Passed, "{report}");
}

#[test]
fn an_idle_tracker_is_well() {
    let facts = Facts { conntrack: Some(Conntrack { count: Some(0), limit: 9 }), ..healthy() };
    let report = report(&facts, &whole_ring(), None);
    assert_eq!(passage(&report, "ok", "conntrack"), ["ok  conntrack           loaded, and tracks nothing"]);
}

#[test]
fn the_smallest_default_run_is_the_one_that_the_preflight_lets_pass() {
    for soft in 40..60 {
        let facts = Facts { descriptors: DescriptorLimit { soft, hard: soft }, ..healthy() };
        let plan = Draft { rate: Some(Rate::per_second(1)), ..Draft::default() }.into_plan().expect("a plan");
        let routes = [std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into()];
        // Of four cores the built-in target has two.
        let cap = host::default_builtin_connection_cap(&facts, 2);
        let passes = crate::preflight::check(&plan, &routes, 2, cap, &facts, true).is_ok();
        assert_eq!(exit_code(&facts, &whole_ring(), None) == ExitCode::Passed, passes, "{soft}");
    }
}
