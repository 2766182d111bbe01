//! The pre-flight on hosts that the tests made up.

use plan::{ConnectTo, Draft, Header, Rails, Rate, Url};

use super::*;
use crate::host::{Conntrack, DescriptorLimit, TimeWaitReuse};

/// A host where nothing stands in the way of a plan of ordinary size.
fn roomy() -> Facts {
    Facts {
        cores: vec![0, 1, 2, 3],
        physical_cores: Some(4),
        governor: Some("performance".into()),
        clock_source: Some("tsc".into()),
        memory_available_bytes: Some(16 << 30),
        descriptors: DescriptorLimit { soft: 20_000, hard: 20_000 },
        local_ports: Some(32_768..=60_999),
        time_wait_reuse: Some(TimeWaitReuse::Loopback),
        time_wait_limit: Some(131_072),
        congestion_control: Some("cubic".into()),
        ..Facts::default()
    }
}

fn draft() -> Draft {
    Draft { rate: Some(Rate::per_second(1_000)), duration_ns: Some(120_000_000_000), ..Draft::default() }
}

fn checked(draft: Draft, cap: u32, facts: &Facts) -> Result<Vec<String>, PreflightError> {
    checked_at("http://10.0.0.7/", draft, cap, facts)
}

fn checked_at(url: &str, draft: Draft, cap: u32, facts: &Facts) -> Result<Vec<String>, PreflightError> {
    let url = Url::parse(url).expect(url);
    let plan = Draft { url: Some(url.clone()), ..draft }.into_plan().expect("a plan");
    let routes = crate::dial::dial(&plan, &url).expect("an address of this network").routes;
    check(&plan, &routes, 2, cap, facts, false)
}

/// The way to the built-in target.
fn to_builtin() -> [Route; 1] {
    [Route::from(std::net::SocketAddr::from(([127, 0, 0, 1], 1)))]
}

fn message(result: Result<Vec<String>, PreflightError>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.exit_code().code(), 3);
    error.to_string()
}

#[test]
fn an_ordinary_plan_on_an_ordinary_host_passes_without_a_word() {
    assert_eq!(checked(draft(), 1_024, &roomy()), Ok(Vec::new()));
}

#[test]
fn what_is_hidden_refuses_nothing() {
    let hidden = Facts { cores: vec![0, 1], ..Facts::default() };
    let churning = Draft { close_after: Some(1), rate: Some(Rate::per_second(100_000)), ..draft() };
    assert_eq!(checked(churning, 60_000, &hidden), Ok(Vec::new()));
}

#[test]
fn too_few_descriptors_are_refused_with_the_fix() {
    let limited = |soft| Facts { descriptors: DescriptorLimit { soft, hard: soft }, ..roomy() };
    assert_eq!(
        message(checked(draft(), 1_000, &limited(64))),
        "need 1,032 file descriptors (1,000 connections), the limit is 64 → raise it with \"ulimit -n 4096\" (as root; \
         LimitNOFILE=4096 in systemd, --ulimit nofile=4096 in Docker), or use --connections 32"
    );
    assert!(checked(draft(), 32, &limited(64)).is_ok(), "the fix works");
    assert!(checked(draft(), 33, &limited(64)).is_err());
    assert!(checked(draft(), 1_000, &limited(1_032)).is_ok());
    let none_left = message(checked(draft(), 1, &limited(20)));
    assert!(!none_left.contains("--connections"), "no number of connections would do: {none_left}");
    let many = message(checked(draft(), 50_000, &limited(20_000)));
    assert!(many.contains("ulimit -n 65536"), "{many}");
    let users = Draft { users: Some(1_000), rate: None, ..draft() };
    let users = message(checked(users, 1_000, &limited(64)));
    assert!(users.ends_with("or use --connections 32, which the users share"), "{users}");
}

#[test]
fn the_builtin_targets_ends_are_descriptors_too() {
    let plan = draft().into_plan().expect("a plan");
    let at = |soft, cap| {
        let facts = Facts { descriptors: DescriptorLimit { soft, hard: soft }, ..roomy() };
        check(&plan, &to_builtin(), 2, cap, &facts, true)
    };
    // 24 + 2 shards × 4 + 4 target threads × 4 + 2 × 1,000.
    assert!(at(2_048, 1_000).is_ok());
    let refused = message(at(2_047, 1_000));
    assert!(
        refused.starts_with("need 2,048 file descriptors (1,000 connections), the limit is 2,047"),
        "{refused}"
    );
    assert!(refused.ends_with("or use --connections 999"), "{refused}");
    assert!(at(2_047, 999).is_ok(), "the fix works");
    for soft in [64_u64, 100, 1_024, 2_071, 2_072] {
        let facts = Facts { descriptors: DescriptorLimit { soft, hard: soft }, ..roomy() };
        let cap = crate::host::default_builtin_connection_cap(&facts, 2);
        assert!(at(soft, cap).is_ok(), "the default fits into {soft}");
    }
}

#[test]
fn too_little_memory_is_refused() {
    let facts =
        Facts { memory_available_bytes: Some(16 << 30), memory_room_bytes: Some(64 << 20), ..roomy() };
    let refused = message(checked(draft(), 10_000, &facts));
    assert!(
        refused.starts_with("need about 376 MiB of memory, 64 MiB may be had → fewer --connections"),
        "{refused}"
    );
    assert!(checked(draft(), 500, &facts).is_ok());
    let waiting = Draft { queue: Some(2_000_000_000), ..draft() };
    let refused = message(checked(waiting, 10, &roomy()));
    assert!(refused.contains("a smaller --queue (now 2,000,000,000 waiting arrivals)"), "{refused}");
}

#[test]
fn the_builtin_target_takes_memory_too() {
    let plan = draft().into_plan().expect("a plan");
    let alone = plan.needs(2, 100).memory_bytes;
    let target = BUILTIN_MEMORY_BASE + 100 * BUILTIN_MEMORY_PER_CONNECTION;
    for (available, builtin, passes) in [
        (alone, false, true),
        (alone - 1, false, false),
        (alone + target, true, true),
        (alone + target - 1, true, false),
    ] {
        let facts = Facts { memory_available_bytes: Some(available), ..roomy() };
        assert_eq!(
            check(&plan, &to_builtin(), 2, 100, &facts, builtin).is_ok(),
            passes,
            "{available} {builtin}"
        );
    }
}

#[test]
fn cores_that_are_not_ours_are_refused() {
    let asking = |text: &str| Draft { cores: Cores::parse(text).expect(text), ..draft() };
    for text in ["all", "1", "4", "0-3", "1,3"] {
        assert!(checked(asking(text), 10, &roomy()).is_ok(), "{text}");
    }
    for (text, fragment) in [
        ("5", "--cores: 5 cores were asked for, this process may run on 0-3 → --cores 0-3, or --cores all"),
        ("2,7", "--cores: core 7 cannot be had, this process may run on 0-3"),
        ("3-5", "--cores: cores 4,5 cannot be had"),
    ] {
        let refused = message(checked(asking(text), 10, &roomy()));
        assert!(refused.starts_with(fragment), "{refused}");
    }
}

#[test]
fn more_connections_than_ports_are_refused() {
    let facts = Facts { local_ports: Some(10_000..=10_099), ..roomy() };
    assert!(checked(draft(), 100, &facts).is_ok());
    let refused = message(checked(draft(), 101, &facts));
    assert!(
        refused.starts_with(
            "101 connections to one address need as many ports, and there are 100 local ports → --source with 2 \
             addresses of this host; or "
        ),
        "{refused}"
    );
    assert!(refused.contains("ip_local_port_range=\"1024 65535\"") && refused.ends_with("--connections 100"));
}

/// A header by which the engine, not the target, closes connections.
fn keeping() -> Vec<Header> {
    vec![Header::parse("Connection: keep-alive").expect("a header")]
}

#[test]
fn churn_is_refused_only_where_it_certainly_runs_out_of_ports() {
    let churn = || Draft { headers: keeping(), close_after: Some(1), ..draft() };
    let rest = |reuse| Facts { time_wait_reuse: reuse, ..roomy() };
    let (never, always, loopback) =
        (Some(TimeWaitReuse::Never), Some(TimeWaitReuse::Always), Some(TimeWaitReuse::Loopback));
    let (local, remote) = ("http://127.0.0.1/", "http://10.0.0.7/");
    for (url, reuse, refused) in [
        (remote, never, true),
        (remote, loopback, true),
        (remote, always, false),
        (remote, None, false),
        (local, never, true),
        (local, loopback, false),
        ("http://[::ffff:127.0.0.1]/", loopback, false),
        ("http://[::1]/", loopback, false),
        ("http://[fd00::1]/", loopback, true),
        ("http://localhost/", loopback, false),
    ] {
        let result = checked_at(url, churn(), 100, &rest(reuse));
        assert_eq!(result.is_err(), refused, "{url} {reuse:?} {result:?}");
        if let Ok(notes) = result {
            assert!(notes.len() == 1 && notes[0].starts_with("up to 60,000 connections closed"), "{notes:?}");
        }
    }
    let refused = message(checked_at(remote, churn(), 100, &rest(never)));
    assert_eq!(
        refused,
        "60,000 connections closed within a minute each hold a port for 60 s, and there are 28,232 local ports → \
         --source with 3 addresses of this host; or sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"; or sysctl -w net.ipv4.tcp_tw_reuse=1; or a larger \
         --close-after"
    );
    let redirected = Draft { connect_to: vec![ConnectTo::parse("::127.0.0.1:").expect("a rule")], ..churn() };
    assert!(checked_at(remote, redirected, 100, &rest(loopback)).is_ok(), "it stays on this machine");
    let fewer_kept = Facts { time_wait_limit: Some(4_096), ..rest(never) };
    assert_eq!(checked_at(remote, churn(), 100, &fewer_kept), Ok(Vec::new()), "the kernel keeps no more");
}

#[test]
fn churn_counts_what_the_plan_really_closes() {
    let never = Facts { time_wait_reuse: Some(TimeWaitReuse::Never), ..roomy() };
    let rows = [
        // 28,232 ports; 1,000/s for two minutes.
        (Draft { headers: keeping(), close_after: Some(2), ..draft() }, true),
        (Draft { headers: keeping(), close_after: Some(3), ..draft() }, false),
        (
            Draft { headers: keeping(), close_after: Some(1), duration_ns: Some(28_000_000_000), ..draft() },
            false,
        ),
        (
            Draft {
                headers: keeping(),
                close_after: Some(1),
                count: Some(20_000),
                duration_ns: None,
                ..draft()
            },
            false,
        ),
        (
            Draft {
                headers: keeping(),
                close_after: Some(1),
                share: plan::Share::new(1, 4).expect("a share"),
                ..draft()
            },
            false,
        ),
        (Draft { headers: keeping(), close_after: Some(1), users: Some(10), rate: None, ..draft() }, false),
    ];
    for (draft, refused) in rows {
        let shown = format!("{draft:?}");
        assert_eq!(checked(draft, 100, &never).is_err(), refused, "{shown}");
    }
}

#[test]
fn a_short_peak_is_noted_but_not_taken_for_a_minute_of_it() {
    let never = Facts { time_wait_reuse: Some(TimeWaitReuse::Never), ..roomy() };
    let peak = |text: &str| {
        let stages = Some(plan::parse_stages(text).expect(text));
        Draft { stages, rate: None, duration_ns: None, headers: keeping(), close_after: Some(1), ..draft() }
    };
    assert_eq!(checked(peak("5s:4000,5s:0,100s:0"), 100, &never), Ok(Vec::new()), "20,000 closes in all");
    let twice = peak("5s:4000,5s:0,100s:0,5s:4000,5s:0");
    let notes = checked(twice, 100, &never).expect("20,000 closes in any minute");
    assert!(
        notes[0].contains("up to 40,000 connections") && notes[0].contains("at the highest rate"),
        "{notes:?}"
    );
    let longer = message(checked(peak("5s:4000,5s:4000,5s:0,100s:0"), 100, &never));
    assert!(longer.starts_with("40,000 connections closed within a minute"), "{longer}");
}

#[test]
fn the_busiest_minute_counts_wherever_it_lies() {
    let never = Facts { time_wait_reuse: Some(TimeWaitReuse::Never), ..roomy() };
    let phase = |from: u64, to: u64| schedule::Phase {
        duration_ns: 100_000_000_000,
        from: Rate::per_second(from),
        to: Rate::per_second(to),
    };
    // Of a ramp of 100 s between 0 and 700/s, the minute at the high end has 29,400 arrivals, the next 60 s 5,600.
    for phases in [
        vec![phase(700, 0)],
        vec![phase(0, 700)],
        vec![phase(1, 1), phase(700, 0), phase(1, 1)],
        vec![phase(1, 1), phase(0, 700), phase(1, 1)],
    ] {
        let shown = format!("{phases:?}");
        let stages = Some(schedule::Profile::new(phases).expect("a profile"));
        let ramp = Draft {
            stages,
            rate: None,
            duration_ns: None,
            headers: keeping(),
            close_after: Some(1),
            ..draft()
        };
        let refused = message(checked(ramp, 100, &never));
        assert!(refused.starts_with("29,4"), "{shown}: {refused}");
    }
}

#[test]
fn a_request_that_asks_to_close_is_noted_because_the_target_closes_first() {
    let never = Facts { time_wait_reuse: Some(TimeWaitReuse::Never), ..roomy() };
    let closing = Draft { headers: vec![Header::parse("Connection: close").expect("a header")], ..draft() };
    // Where the plan closes connections, the engine asks for it itself.
    for draft in [closing, Draft { close_after: Some(1), ..draft() }] {
        let notes = checked(draft, 100, &never).expect("not certain");
        assert!(notes[0].contains("if the engine closes them before the target does"), "{notes:?}");
    }
}

#[test]
fn what_may_spoil_the_measurement_is_noted() {
    type Spoil = fn(&mut Facts);
    let rows: [(Spoil, &str); 8] = [
        (|f| f.physical_cores = Some(1), "2 shards run on 1 physical core"),
        (|f| f.cpu_quota_millicores = Some(1_500), "CPU quota is 1.5 cores for 2 busy threads"),
        (|f| f.cpu_quota_millicores = Some(1_000), "CPU quota is 1 core for"),
        (|f| f.governor = Some("powersave".into()), "governor is powersave"),
        (|f| f.congestion_control = Some("bbr".into()), "congestion control is bbr"),
        (|f| f.clock_source = Some("hpet".into()), "clock source is hpet"),
        (
            |f| f.conntrack = Some(Conntrack { count: Some(5), limit: 262_144 }),
            "connection tracking (conntrack) is on: each packet costs more CPU",
        ),
        (
            |f| f.conntrack = Some(Conntrack { count: Some(262_100), limit: 262_144 }),
            "it has room for 44 more connections, and drops packets beyond",
        ),
    ];
    for (spoil, fragment) in rows {
        let mut facts = roomy();
        spoil(&mut facts);
        let notes = checked(draft(), 100, &facts).expect("only notes");
        assert!(notes.len() == 1 && notes[0].contains(fragment), "{fragment}: {notes:?}");
    }
    let enough = Facts { cpu_quota_millicores: Some(2_000), ..roomy() };
    assert_eq!(checked(draft(), 100, &enough), Ok(Vec::new()));
    let plain = Facts { conntrack: Some(Conntrack { count: None, limit: 262_144 }), ..roomy() };
    assert!(!checked(draft(), 100, &plain).expect("a note")[0].contains("drops packets"));
    let idle = Facts { conntrack: Some(Conntrack { count: Some(0), limit: 262_144 }), ..roomy() };
    assert_eq!(checked(draft(), 100, &idle), Ok(Vec::new()), "loaded, and in nobody's way");
    for clock in QUICK_CLOCKS {
        assert!(
            checked(draft(), 100, &Facts { clock_source: Some(clock.into()), ..roomy() }).unwrap().is_empty()
        );
    }
}

#[test]
fn the_builtin_target_is_counted_among_the_busy_threads() {
    let plan = draft().into_plan().expect("a plan");
    let facts = Facts { cpu_quota_millicores: Some(3_000), ..roomy() };
    let notes = check(&plan, &to_builtin(), 2, 10, &facts, true).expect("a note");
    assert!(notes[0].contains("3 cores for 4 busy threads"), "{notes:?}");
}

#[test]
fn no_message_shows_a_secret() {
    let secret = "https://10.0.0.7/?token=hunter2";
    let limited = Facts { descriptors: DescriptorLimit { soft: 10, hard: 10 }, ..roomy() };
    let rails = Rails::default();
    let refused = message(checked_at(secret, Draft { rails, ..draft() }, 100, &limited));
    assert!(!refused.contains("hunter2"), "{refused}");
}

#[test]
fn every_pair_of_a_source_and_an_address_has_ports_of_its_own() {
    let facts = Facts { local_ports: Some(10_000..=10_099), ..roomy() };
    let plan = |sources: &str| {
        let sources = (!sources.is_empty()).then(|| plan::parse_sources(sources).expect(sources));
        Draft { sources, ..draft() }.into_plan().expect("a plan")
    };
    let routes = |sources: usize, addresses: u8| -> Vec<Route> {
        let peers = (1..=addresses).map(|last| std::net::SocketAddr::from(([10, 0, 0, last], 80)));
        peers.cycle().take(sources.max(1) * usize::from(addresses)).map(Route::from).collect()
    };
    for (sources, addresses, cap, refused) in [
        ("", 1, 100, None),
        ("", 1, 101, Some("101 connections to one address need")),
        ("", 3, 300, None),
        ("", 3, 301, Some("301 connections to 3 addresses need")),
        ("127.0.0.1-127.0.0.4", 1, 400, None),
        ("127.0.0.1-127.0.0.4", 1, 401, Some("401 connections from 4 sources to one address need")),
        ("127.0.0.1-127.0.0.4", 2, 800, None),
        ("127.0.0.1-127.0.0.4", 2, 801, Some("801 connections from 4 sources to 2 addresses need")),
    ] {
        let plan = plan(sources);
        let routes = routes(plan.connections.sources.len(), addresses);
        let result = check(&plan, &routes, 2, cap, &facts, false);
        match refused {
            None => assert_eq!(result, Ok(Vec::new()), "{sources} {addresses} {cap}"),
            Some(words) => {
                let message = message(result);
                assert!(message.starts_with(words), "{message}");
                let most = 100 * routes.len();
                assert!(message.contains(&format!("there are {most} local ports")), "{message}");
            }
        }
    }
    let refused = message(check(&plan(""), &routes(1, 2), 2, 1_000, &facts, false));
    assert!(refused.contains("→ --source with 5 addresses of this host; or sysctl"), "{refused}");
    let unix = [Route::Unix(b"/run/app.sock".as_slice().into())];
    assert_eq!(check(&plan(""), &unix, 2, 10_000, &facts, false), Ok(Vec::new()), "no ports there");
}
