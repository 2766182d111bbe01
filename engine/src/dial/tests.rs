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

#[test]
fn an_address_is_taken_as_it_is() {
    let found = dial_with(&plan(Draft::default()), &url("http://127.0.0.1:81/"), unresolved, unasked);
    let found = found.expect("free");
    assert_eq!(found.address, "127.0.0.1:81".parse().unwrap());
    assert_eq!((found.all.len(), found.notes.len()), (1, 0));
    let found = dial_with(&plan(Draft::default()), &url("https://[::1]/"), unresolved, unasked);
    assert_eq!(found.expect("free").address, "[::1]:443".parse().unwrap());
}

#[test]
fn a_name_with_one_address_is_not_probed() {
    let twice = |name: &str, port: u16| {
        assert_eq!((name, port), ("shop.example", 80));
        Ok(addresses(&["10.0.0.1:80", "10.0.0.1:80"]))
    };
    let found =
        dial_with(&plan(Draft::default()), &url("http://shop.example/"), twice, unasked).expect("private");
    assert_eq!(found.all, addresses(&["10.0.0.1:80"]), "said twice, meant once");
    assert_eq!(found.host, Host::Name("shop.example".into()));
}

#[test]
fn the_first_address_that_answers_is_taken_and_noted() {
    let all = addresses(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    for (answering, chosen, probes, fragment) in [
        (Some(0), 0, 1, "10.0.0.1:80 is loaded, the first that accepted a connection (1 connection was"),
        (Some(1), 1, 2, "10.0.0.2:80 is loaded, the first that accepted a connection; 1 before it did not"),
        (None, 0, 3, "none accepted a connection within 2 s each: 10.0.0.1:80 is loaded"),
    ] {
        let mut probed = Vec::new();
        let answers = |address: &SocketAddr| {
            probed.push(*address);
            answering.is_some_and(|index: usize| all[index] == *address)
        };
        let found =
            dial_with(&plan(Draft::default()), &url("http://shop.example/"), |_, _| Ok(all.clone()), answers);
        let found = found.expect("private");
        assert_eq!(found.address, all[chosen]);
        assert_eq!(found.all, all);
        assert_eq!(probed, all[..probes]);
        assert!(found.notes.len() == 1 && found.notes[0].contains(fragment), "{:?}", found.notes);
    }
}

#[test]
fn one_public_address_among_many_refuses_before_any_probe() {
    for (public, owned) in [("93.184.216.34:80", true), ("169.254.169.254:80", true), ("[fe80::1]:80", true)]
    {
        let all = addresses(&["10.0.0.1:80", public]);
        let refused =
            dial_with(&plan(Draft::default()), &url("http://shop.example/"), |_, _| Ok(all.clone()), unasked);
        let refused = refused.expect_err(public);
        assert_eq!(refused.exit_code(), ExitCode::Refused);
        assert!(refused.to_string().contains("--i-own shop.example"), "{refused}");
        let mut draft = Draft::default();
        draft.rails.own_hosts.push(Host::parse("shop.example").unwrap());
        let found = dial_with(&plan(draft), &url("http://shop.example/"), |_, _| Ok(all.clone()), |_| true);
        assert_eq!(found.is_ok(), owned);
    }
}

#[test]
fn redirections_decide_what_is_resolved_and_what_the_rails_see() {
    let draft =
        |text: &str| Draft { connect_to: vec![ConnectTo::parse(text).expect(text)], ..Draft::default() };
    let to_loopback = plan(draft("shop.example:443:127.0.0.1:8443"));
    let found = dial_with(&to_loopback, &url("https://shop.example/"), unresolved, unasked).expect("free");
    assert_eq!(found.address, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(found.notes, ["connections go to 127.0.0.1:8443 (--connect-to)"]);
    let to_public = plan(draft("::8.8.8.8:"));
    let refused = dial_with(&to_public, &url("http://127.0.0.1/"), unresolved, unasked);
    assert_eq!(refused.expect_err("public").exit_code(), ExitCode::Refused);
    // Whoever owns the URL's host does not own what the redirection names instead.
    let mut owned = draft("shop.example::8.8.8.8:");
    owned.rails.own_hosts.push(Host::parse("shop.example").unwrap());
    let refused = dial_with(&plan(owned), &url("http://shop.example/"), unresolved, unasked);
    let refused = refused.expect_err("public").to_string();
    assert!(refused.contains("--i-own 8.8.8.8"), "{refused}");
    let to_name = plan(draft("::other.example:"));
    let nowhere =
        |_: &str, _: u16| Err(io::Error::other("failed to lookup address information: no such name"));
    let error = dial_with(&to_name, &url("http://127.0.0.1:81/"), nowhere, unasked).expect_err("unknown");
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
        let error =
            dial_with(&plan(Draft::default()), &url("http://shop.example:81/"), |_, _| answer, unasked)
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
    assert_eq!(found.address, listener.local_addr().expect("bound"), "{found:?}");
    // RFC 6761 section 6.4: `invalid` never resolves.
    let error = dial(&plan(Draft::default()), &url("http://nowhere.invalid/")).expect_err("never resolves");
    assert_eq!(error.exit_code(), ExitCode::Environment);
}
