//! The facts from given texts, and those of the machine that runs the tests.

use super::*;

fn facts_from(affinity: Option<Vec<usize>>, files: &[(&str, &str)]) -> Facts {
    Facts::read(affinity, &|path| {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    })
}

#[test]
fn facts_are_what_the_files_say() {
    let facts = facts_from(
        Some(vec![0, 1, 4, 5]),
        &[
            ("/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:       1000 kB\n"),
            ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            ("/proc/sys/net/ipv4/tcp_tw_reuse", "2\n"),
            ("/proc/sys/net/ipv4/tcp_max_tw_buckets", "131072\n"),
            ("/proc/sys/net/ipv4/tcp_congestion_control", "bbr\n"),
            ("/proc/sys/net/core/somaxconn", "4096\n"),
            ("/proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
            ("/proc/sys/net/netfilter/nf_conntrack_count", "17\n"),
            ("/proc/sys/kernel/io_uring_disabled", "0\n"),
            ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
            ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("/sys/devices/system/cpu/cpu5/cpufreq/scaling_governor", "powersave\n"),
            ("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,4\n"),
            ("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,5\n"),
            ("/sys/devices/system/cpu/cpu4/topology/thread_siblings_list", "0,4\n"),
            ("/sys/devices/system/cpu/cpu5/topology/thread_siblings_list", "1,5\n"),
        ],
    );
    let expected = Facts {
        cores: vec![0, 1, 4, 5],
        physical_cores: Some(2),
        governor: Some("powersave".into()),
        clock_source: Some("tsc".into()),
        memory_available_bytes: Some(1_024_000),
        local_ports: Some(32_768..=60_999),
        time_wait_reuse: Some(TimeWaitReuse::Loopback),
        time_wait_limit: Some(131_072),
        congestion_control: Some("bbr".into()),
        listen_queue_limit: Some(4_096),
        conntrack: Some(Conntrack { count: Some(17), limit: 262_144 }),
        io_uring_disabled: Some(0),
        ..Facts::default()
    };
    assert_eq!(facts, expected);
    assert_eq!(facts.local_port_count(), Some(28_232));
    assert_eq!(facts.memory_to_be_had_bytes(), Some(1_024_000));
}

#[test]
fn a_container_that_hides_everything_still_has_cores() {
    let hidden = facts_from(None, &[]);
    assert!(!hidden.cores.is_empty());
    assert_eq!(hidden, Facts { cores: hidden.cores.clone(), ..Facts::default() });
    let told = facts_from(None, &[("/proc/self/status", "Cpus_allowed_list:\t2-3\n")]);
    assert_eq!(told.cores, [2, 3]);
}

#[test]
fn the_tighter_of_host_and_group_is_to_be_had() {
    for (host, group, had) in [
        (Some(5), Some(3), Some(3)),
        (Some(2), Some(3), Some(2)),
        (Some(5), None, Some(5)),
        (None, Some(3), Some(3)),
        (None, None, None),
    ] {
        let facts = Facts { memory_available_bytes: host, memory_room_bytes: group, ..Facts::default() };
        assert_eq!(facts.memory_to_be_had_bytes(), had);
    }
}

#[test]
fn the_default_cap_follows_the_descriptors() {
    let limited = |soft| Facts {
        cores: vec![0, 1],
        descriptors: DescriptorLimit { soft, hard: soft },
        ..Facts::default()
    };
    for (soft, shards, alone, builtin) in [
        (u64::MAX, 2, 1_024, 1_024),
        (20_000, 2, 1_024, 1_024),
        (1_024, 2, 992, 492),
        (64, 2, 32, 12),
        (64, 1, 36, 14),
        (10, 2, 1, 1),
    ] {
        assert_eq!(default_connection_cap(&limited(soft), shards), alone, "{soft}");
        assert_eq!(default_builtin_connection_cap(&limited(soft), shards), builtin, "{soft}");
    }
}

#[test]
fn this_machine_says_something() {
    let facts = Facts::gather();
    assert!(facts.kernel.is_some() && facts.host.is_some(), "{facts:?}");
    assert!(!facts.cores.is_empty() && facts.cores.is_sorted(), "{facts:?}");
    assert!(facts.memory_to_be_had_bytes().is_some_and(|bytes| bytes > 0), "{facts:?}");
    assert!(facts.descriptors.soft <= facts.descriptors.hard, "{facts:?}");
}

#[test]
fn raising_reaches_the_hard_limit() {
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let (before, after) = raise_descriptor_limit();
    assert!(before <= after);
    assert_eq!(after, hard);
    assert_eq!(raise_descriptor_limit(), (after, after), "raising again changes nothing");
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's state");
    let places = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("proc_pid_status(5)");
    let places: u64 = places.trim().parse().expect("a count");
    assert!(
        places >= after.min(DESCRIPTORS_PREPARED_MAX),
        "{places} of {after}: the table grows later, under load"
    );
}
