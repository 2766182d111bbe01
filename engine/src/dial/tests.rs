//! Dialling with a resolver and a prober of the test's own, and on loopback with the system's.

use std::net::TcpListener;

use plan::{ConnectTo, Draft, Rate};

use super::*;

fn plan(draft: Draft) -> Plan {
    Draft { rate: Some(Rate::per_second(10)), ..draft }.into_plan().expect("a plan")
}

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().expect(text)).collect()
}

fn unasked(_: &SocketAddr) -> bool {
    panic!("one address needs no probe, and a refused one must not get any")
}

fn unresolved(_: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
    panic!("an address needs no resolver")
}

/// Dials in a world that has a way to every address.
fn dialled(
    plan: &Plan,
    url: &Url,
    resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
    answers: impl Fn(&SocketAddr) -> bool,
) -> Result<Dialled, DialError> {
    dial_with(plan, url, &World { resolve: &resolve, has_way: &|_| true, answers: &answers })
}

/// Where the routes lead, in their order.
fn peers(found: &Dialled) -> Vec<SocketAddr> {
    found.routes.iter().filter_map(Route::peer).collect()
}

#[test]
fn an_address_is_taken_as_it_is() {
    let found = dialled(&plan(Draft::default()), &url("http://127.0.0.1:81/"), unresolved, unasked);
    let found = found.expect("free");
    assert_eq!(found.routes, [Route::from("127.0.0.1:81".parse::<SocketAddr>().unwrap())]);
    assert_eq!((found.addresses.as_slice(), found.notes.len()), (["127.0.0.1:81".to_owned()].as_slice(), 0));
    let found = dialled(&plan(Draft::default()), &url("https://[::1]/"), unresolved, unasked);
    assert_eq!(peers(&found.expect("free")), addresses(&["[::1]:443"]));
}

#[test]
fn a_name_with_one_address_is_not_probed() {
    let twice = |name: &str, port: u16| {
        assert_eq!((name, port), ("shop.example", 80));
        Ok(addresses(&["10.0.0.1:80", "10.0.0.1:80"]))
    };
    for dns in [Dns::Auto, Dns::All, Dns::First, Dns::V4] {
        let draft = Draft { dns: Some(dns), ..Draft::default() };
        let found = dialled(&plan(draft), &url("http://shop.example/"), twice, unasked).expect("private");
        assert_eq!(peers(&found), addresses(&["10.0.0.1:80"]), "said twice, meant once");
        assert_eq!(found.notes, [""; 0]);
    }
}

/// The choice, what the name resolves to, the host's ways, what is loaded, and a part of the notes.
type Row<'a> = (Dns, &'a [&'a str], &'a dyn Fn(&SocketAddr) -> bool, &'a [&'a str], &'a str);

#[test]
fn connections_go_to_the_addresses_that_were_asked_for() {
    let both: &[&str] = &["10.0.0.1:80", "[fd00::1]:80", "10.0.0.2:80", "[fd00::2]:80"];
    let (v4, v6): (&[&str], &[&str]) = (&["10.0.0.1:80", "10.0.0.2:80"], &["[fd00::1]:80", "[fd00::2]:80"]);
    let localhost: &[&str] = &["[::1]:80", "127.0.0.1:80"];
    let everywhere = |_: &SocketAddr| true;
    let only_v4 = |address: &SocketAddr| address.is_ipv4();
    let nowhere = |_: &SocketAddr| false;
    let rows: [Row<'_>; 12] = [
        (
            Dns::Auto,
            both,
            &everywhere,
            both,
            "to the 4 addresses of shop.example in turn: 10.0.0.1:80, [fd00",
        ),
        (
            Dns::Auto,
            both,
            &only_v4,
            v4,
            "has no route to some addresses of shop.example, and leaves out: [fd00::1]",
        ),
        (Dns::Auto, both, &nowhere, both, "to the 4 addresses"),
        (Dns::All, both, &only_v4, both, "to the 4 addresses"),
        (Dns::First, both, &everywhere, &both[2..3], "10.0.0.2:80 is loaded, the first that accepted"),
        (
            Dns::V4,
            both,
            &everywhere,
            v4,
            "to the 2 addresses of shop.example in turn: 10.0.0.1:80, 10.0.0.2:80",
        ),
        (Dns::V6, both, &everywhere, v6, "to the 2 addresses"),
        (
            Dns::Auto,
            localhost,
            &everywhere,
            &localhost[1..],
            "127.0.0.1:80 is loaded, the first that accepted",
        ),
        (Dns::All, localhost, &everywhere, localhost, "to the 2 addresses"),
        (Dns::V6, localhost, &everywhere, &localhost[..1], ""),
        (
            Dns::Auto,
            &["127.0.0.2:80", "127.0.0.3:80"],
            &everywhere,
            &["127.0.0.2:80", "127.0.0.3:80"],
            "2 addresses",
        ),
        (Dns::Auto, &["10.0.0.1:80"], &nowhere, &["10.0.0.1:80"], ""),
    ];
    for (dns, all, has_way, expected, fragment) in rows {
        let resolve = |_: &str, _: u16| Ok(addresses(all));
        let answers =
            |address: &SocketAddr| ["10.0.0.2:80", "127.0.0.1:80"].contains(&address.to_string().as_str());
        let world = World { resolve: &resolve, has_way, answers: &answers };
        let plan = plan(Draft { dns: Some(dns), ..Draft::default() });
        let found = dial_with(&plan, &url("http://shop.example/"), &world).expect("private");
        assert_eq!(peers(&found), addresses(expected), "{dns:?} {all:?}");
        assert_eq!(found.addresses, expected, "{dns:?} {all:?}");
        assert!(found.notes.join("; ").contains(fragment), "{dns:?} {all:?}: {:?}", found.notes);
        assert_eq!(found.notes.is_empty(), fragment.is_empty(), "{:?}", found.notes);
    }
}

#[test]
fn a_family_that_a_name_does_not_have_is_told() {
    let v4_only = |_: &str, _: u16| Ok(addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
    let draft = Draft { dns: Some(Dns::V6), ..Draft::default() };
    let error = dialled(&plan(draft), &url("http://shop.example/"), v4_only, unasked).expect_err("none");
    assert_eq!(error.exit_code(), ExitCode::Environment);
    assert!(
        error.to_string().starts_with("--dns: shop.example has no IPv6 address: 10.0.0.1:80, "),
        "{error}"
    );
}

#[test]
fn every_source_goes_with_every_address_of_its_family() {
    let dialled_from = |sources: &str, all: &'static [&str]| {
        let sources = Some(plan::parse_sources(sources).expect(sources));
        let plan = plan(Draft { sources, dns: Some(Dns::All), ..Draft::default() });
        let found = dialled(&plan, &url("http://shop.example/"), |_, _| Ok(addresses(all)), unasked)?;
        Ok::<Vec<String>, DialError>(found.routes.iter().map(ToString::to_string).collect())
    };
    let routes = dialled_from("10.0.0.8,10.0.0.9", &["10.0.0.1:80", "10.0.0.2:80"]).expect("ways");
    let expected = [
        "10.0.0.1:80 from 10.0.0.8",
        "10.0.0.2:80 from 10.0.0.8",
        "10.0.0.1:80 from 10.0.0.9",
        "10.0.0.2:80 from 10.0.0.9",
    ];
    assert_eq!(routes, expected);
    let routes = dialled_from("10.0.0.8,fd00::8", &["10.0.0.1:80", "[fd00::1]:80"]).expect("ways");
    assert_eq!(routes, ["10.0.0.1:80 from 10.0.0.8", "[fd00::1]:80 from fd00::8"]);
    let rows: [(&str, &'static [&str], &str); 3] = [
        ("10.0.0.8", &["10.0.0.1:80", "[fd00::1]:80"], "no IPv6 address leads to [fd00::1]:80"),
        ("fd00::8", &["[fd00::1]:80", "10.0.0.1:80"], "or load the other family only (--dns 6)"),
        ("10.0.0.8,fd00::8", &["10.0.0.1:80"], "fd00::8 is IPv6, and the target has no IPv6 address"),
    ];
    for (sources, all, fragment) in rows {
        let error = dialled_from(sources, all).expect_err(fragment);
        assert_eq!(error.exit_code(), ExitCode::Environment);
        assert!(
            error.to_string().starts_with("--source: ") && error.to_string().contains(fragment),
            "{error}"
        );
    }
    // TEST-NET-1 (RFC 5737) is no address of any host.
    let foreign =
        Draft { sources: Some(plan::parse_sources("127.0.0.1,192.0.2.1").unwrap()), ..Draft::default() };
    let error = dial(&plan(foreign), &url("http://127.0.0.1/")).expect_err("foreign");
    assert!(
        error
            .to_string()
            .starts_with("--source: cannot connect from 192.0.2.1: it is no address of this host → "),
        "{error}"
    );
    let own =
        Draft { sources: Some(plan::parse_sources("127.0.0.1-127.0.0.9").unwrap()), ..Draft::default() };
    assert_eq!(dial(&plan(own), &url("http://127.0.0.1/")).expect("loopback").routes.len(), 9);
}

#[test]
fn a_unix_socket_is_the_only_way_and_must_be_there() {
    let folder = std::env::temp_dir().join(format!("openloop-dial-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (socket, file) = (folder.join("socket"), folder.join("file"));
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    std::fs::write(&file, "").expect("a file");
    let at = |path: &str| {
        let unix_socket = Some(plan::UnixSocket::parse(path).expect(path));
        let url = url("http://shop.example/");
        dial(&plan(Draft { unix_socket, url: Some(url.clone()), ..Draft::default() }), &url)
    };
    let found = at(&socket.to_string_lossy()).expect("it listens");
    assert_eq!(found.routes, [Route::Unix(socket.as_os_str().as_encoded_bytes().into())]);
    assert_eq!(found.addresses, [format!("unix:{}", socket.display())]);
    assert_eq!(at("@hidden").expect("not looked at").addresses, ["unix:@hidden"]);
    for (path, why) in [(file, "it is no socket"), (folder.join("missing"), "there is no such file")] {
        let error = at(&path.to_string_lossy()).expect_err(why);
        assert_eq!(error.exit_code(), ExitCode::Environment);
        assert!(
            error.to_string().contains(why) && error.to_string().starts_with("--unix-socket: "),
            "{error}"
        );
    }
    std::fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn the_first_address_that_answers_is_taken_and_noted() {
    let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    for (answering, chosen, probes, fragment) in [
        (Some(0), 0, 1, "10.0.0.1:80 is loaded, the first that accepted a connection (1 connection was"),
        (Some(1), 1, 2, "10.0.0.2:80 is loaded, the first that accepted a connection; 1 before it did not"),
        (None, 0, 3, "none accepted a connection within 2 s each: 10.0.0.1:80 is loaded"),
    ] {
        let probed = std::cell::RefCell::new(Vec::new());
        let answers = |address: &SocketAddr| {
            probed.borrow_mut().push(*address);
            answering.is_some_and(|index: usize| all[index] == *address)
        };
        let first = plan(Draft { dns: Some(Dns::First), ..Draft::default() });
        let found = dialled(&first, &url("http://shop.example/"), |_, _| Ok(all.clone()), answers);
        let found = found.expect("private");
        assert_eq!(peers(&found), [all[chosen]]);
        assert_eq!(*probed.borrow(), all[..probes]);
        assert!(found.notes.len() == 1 && found.notes[0].contains(fragment), "{:?}", found.notes);
    }
}

#[test]
fn one_public_address_among_many_refuses_before_any_probe() {
    for (public, owned) in [("93.184.216.34:80", true), ("169.254.169.254:80", true), ("[fe80::1]:80", true)]
    {
        let all = addresses(&["10.0.0.1:80", public]);
        let refused =
            dialled(&plan(Draft::default()), &url("http://shop.example/"), |_, _| Ok(all.clone()), unasked);
        let refused = refused.expect_err(public);
        assert_eq!(refused.exit_code(), ExitCode::Refused);
        assert!(refused.to_string().contains("--i-own shop.example"), "{refused}");
        let mut draft = Draft::default();
        draft.rails.own_hosts.push(Host::parse("shop.example").unwrap());
        let found = dialled(&plan(draft), &url("http://shop.example/"), |_, _| Ok(all.clone()), |_| true);
        assert_eq!(found.is_ok(), owned);
    }
}

#[test]
fn what_the_owner_of_a_node_forbids_is_refused_after_the_name_was_resolved() {
    let fenced = |allowed: &[&str], socket: Option<&str>, connect_to: Option<&str>| {
        let allowed = allowed.iter().map(|text| plan::Allowed::parse(text).expect(text)).collect();
        let mut draft = Draft {
            url: Some(url("http://shop.example/")),
            unix_socket: socket.map(|path| plan::UnixSocket::parse(path).expect(path)),
            ..Draft::default()
        };
        draft.connect_to = connect_to.map(|text| ConnectTo::parse(text).expect(text)).into_iter().collect();
        draft.rails.own_hosts.push(Host::parse("shop.example").expect("a host"));
        draft.rails.fence = Some(plan::Fence { allowed, own: addresses(&["10.0.0.9:5557"]) });
        plan(draft)
    };
    for (allowed, target, leads_to, fragment) in [
        (&[][..], "http://shop.example/", "10.0.0.1:80", None),
        (&[], "http://shop.example/", "169.254.169.254:80", Some("link-local")),
        (&[], "http://shop.example:5557/", "10.0.0.9:5557", Some("where this fleet talks to itself")),
        (&["shop.example"], "http://shop.example/", "10.0.0.1:80", None),
        (&["shop.example"], "http://shop.example/", "169.254.169.254:80", Some("link-local")),
        (&["10.0.0.0/8"], "http://shop.example/", "10.0.0.1:80", None),
        (&["10.0.0.0/8"], "http://shop.example/", "192.168.0.1:80", Some("is not among the hosts")),
        (&["169.254.169.254"], "http://shop.example/", "169.254.169.254:80", None),
    ] {
        let all = addresses(&[leads_to]);
        let found = dialled(&fenced(allowed, None, None), &url(target), |_, _| Ok(all.clone()), unasked);
        match fragment {
            None => assert!(found.is_ok(), "{leads_to}: {found:?}"),
            Some(fragment) => {
                let refused = found.expect_err(leads_to);
                assert_eq!(refused.exit_code(), ExitCode::Refused);
                assert!(refused.to_string().contains(fragment), "{refused}");
            }
        }
    }
    let redirected = fenced(&["shop.example"], None, Some("::10.0.0.7:"));
    let refused = dialled(&redirected, &url("http://shop.example/"), unresolved, unasked);
    assert!(refused.expect_err("another host").to_string().contains("10.0.0.7 is not among"));
    let socket = fenced(&[], Some("/run/docker.sock"), None);
    let refused = dialled(&socket, &url("http://shop.example/"), unresolved, unasked).expect_err("a service");
    assert!(refused.to_string().contains("--allow-target unix:/run/docker.sock"), "{refused}");
    let named = fenced(&["unix:/run/app.sock"], Some("/run/app.sock"), None);
    assert!(dialled(&named, &url("http://shop.example/"), unresolved, unasked).is_ok());
}

#[test]
fn redirections_decide_what_is_resolved_and_what_the_rails_see() {
    let draft =
        |text: &str| Draft { connect_to: vec![ConnectTo::parse(text).expect(text)], ..Draft::default() };
    let to_loopback = plan(draft("shop.example:443:127.0.0.1:8443"));
    let found = dialled(&to_loopback, &url("https://shop.example/"), unresolved, unasked).expect("free");
    assert_eq!(peers(&found), addresses(&["127.0.0.1:8443"]));
    assert_eq!(found.notes, ["connections go to 127.0.0.1:8443 (--connect-to)"]);
    let to_public = plan(draft("::8.8.8.8:"));
    let refused = dialled(&to_public, &url("http://127.0.0.1/"), unresolved, unasked);
    assert_eq!(refused.expect_err("public").exit_code(), ExitCode::Refused);
    // Whoever owns the URL's host does not own what the redirection names instead.
    let mut owned = draft("shop.example::8.8.8.8:");
    owned.rails.own_hosts.push(Host::parse("shop.example").unwrap());
    let refused = dialled(&plan(owned), &url("http://shop.example/"), unresolved, unasked);
    let refused = refused.expect_err("public").to_string();
    assert!(refused.contains("--i-own 8.8.8.8"), "{refused}");
    let to_name = plan(draft("::other.example:"));
    let nowhere =
        |_: &str, _: u16| Err(io::Error::other("failed to lookup address information: no such name"));
    let error = dialled(&to_name, &url("http://127.0.0.1:81/"), nowhere, unasked).expect_err("unknown");
    assert!(
        error.to_string().starts_with("cannot resolve other.example (of --connect-to): no such name → "),
        "{error}"
    );
}

#[test]
fn a_name_that_leads_nowhere_says_what_where_and_how() {
    let rows: [(io::Result<Vec<SocketAddr>>, &str); 3] = [
        (
            Err(io::Error::other("failed to lookup address information: Name or service not known")),
            "Name or service not known",
        ),
        (Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")), "no answer within 5 s"),
        (Ok(Vec::new()), "it has no address"),
    ];
    for (answer, reason) in rows {
        let answer = std::cell::RefCell::new(Some(answer));
        let error = dialled(
            &plan(Draft::default()),
            &url("http://shop.example:81/"),
            |_, _| answer.borrow_mut().take().expect("asked once"),
            unasked,
        )
        .expect_err(reason);
        assert_eq!(error.exit_code(), ExitCode::Environment);
        assert_eq!(
            error.to_string(),
            format!(
                "cannot resolve shop.example (of the URL): {reason} → check the spelling and the resolver (getent \
                 hosts shop.example), or name the address: --connect-to shop.example:81:ADDRESS:81"
            )
        );
    }
}

#[test]
fn the_systems_resolver_knows_localhost_and_refuses_what_cannot_be() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let found = dial(&plan(Draft::default()), &url(&format!("http://localhost:{port}/"))).expect("localhost");
    assert_eq!(peers(&found), [listener.local_addr().expect("bound")], "{found:?}");
    // RFC 6761 section 6.4: `invalid` never resolves.
    let error = dial(&plan(Draft::default()), &url("http://nowhere.invalid/")).expect_err("never resolves");
    assert_eq!(error.exit_code(), ExitCode::Environment);
}
