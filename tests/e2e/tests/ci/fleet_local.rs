//! A fleet on this machine for whoever has typed nothing but how much: the target comes with it.

use std::time::Duration;

use e2e::document::parse;
use e2e::waiting::{SOON, wait_for};
use e2e::{Engine, count};
use rustix::process::Signal;

fn local(flags: &str) -> Engine {
    let line = format!("run --local 2 --max-lag 1h --lease 10s {flags}");
    Engine::of("coordinator", &line).within(Duration::from_mins(2))
}

#[test]
fn without_a_url_all_nodes_load_one_built_in_target() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let outcome = local("--tps 200 --duration 3s --json").arg(&file).run().expect(0);
    assert!(
        outcome.stderr.contains("no URL given: loading the built-in target on http://127.0.0.1:"),
        "{}",
        outcome.told()
    );
    let report = parse("the report", &std::fs::read(&file).expect("it was written"));
    assert_eq!(count(&report, "/audit/sent"), 600);
    assert_eq!(count(&report, "/audit/ok"), 600);
    assert!(
        report["target"]["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")),
        "{report}"
    );
}

#[test]
fn the_built_in_target_dies_with_the_command() {
    let mut running = local("--tps 50 --duration 60s").start();
    let address = running.process.wait_for_stderr("the target", SOON, |line| {
        let rest = line.strip_prefix("no URL given: loading the built-in target on http://")?;
        rest.trim_end_matches('/').parse::<std::net::SocketAddr>().ok()
    });
    wait_for("the target", SOON, || std::net::TcpStream::connect(address).ok());
    running.process.signal(Signal::KILL);
    wait_for("its end", Duration::from_secs(10), || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn people_show_papers_while_local_nodes_need_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let certs = format!("certs --server 127.0.0.1 --dir {}", path("certs"));
    Engine::of("coordinator", &certs).run().expect(0);
    let state = path("state");
    let token =
        Engine::of("coordinator", &format!("tokens --role viewer --state {state}")).run().expect(0).stdout;
    std::fs::write(path("token"), token).expect("a file");
    let flags = format!(
        "--tps 20 --duration 8s --http-listen 127.0.0.1:0 --tokens --tls-cert {0}/server.pem --tls-key {0}/server.key \
         --state {state}",
        path("certs")
    );
    let mut running = local(&flags).start();
    let people = running.process.wait_for_stderr("its address", SOON, |line| {
        line.strip_prefix("people: ").map(|url| url.trim_end_matches('/').to_owned())
    });
    assert!(people.starts_with("https://"), "{people}");
    let ask = |more: &str| {
        let line = format!("nodes --coordinator {people} --coordinator-ca {}/ca.pem {more}", path("certs"));
        Engine::of("coordinator", &line).run()
    };
    wait_for("two nodes", Duration::from_secs(20), || {
        let told = ask(&format!("--token-file {}", path("token"))).expect(0).stdout;
        (told.contains("local-1") && told.contains("local-2")).then_some(())
    });
    assert_ne!(ask("").code, 0, "without a token nothing is told");
    running.finish().expect(0);
    let open = local("--tps 5 --duration 1s --http-listen 0.0.0.0:0").run().expect(4);
    assert!(open.stderr.contains("without TLS and tokens"), "{}", open.told());
}
