//! Right and wrong command lines of the coordinator.

use verdict::ExitCode;

use super::*;
use crate::handle::Weights;

fn parsed(line: &str) -> Result<Asked, Refusal> {
    parse(std::iter::once("coordinator").chain(line.split_whitespace()).map(OsString::from))
}

fn command(line: &str) -> (SubCommand, ArgMatches) {
    match parsed(line) {
        Ok(Asked::Command(command, matches)) => (*command, *matches),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_definition_of_the_command_line_is_sound() {
    definition().debug_assert();
}

#[test]
fn a_run_has_the_engines_flags_and_those_of_a_fleet() {
    let (SubCommand::Run(run), matches) = command(
        "run --leader --headless --users 1000 --spawn-rate 50 --duration 10m --expect-workers 5 --expect-workers-max-wait 120 \
         --zones eu=60,us=40 --weights 5:3:1 --on-node-loss abort --label disk=fast http://10.0.0.7/",
    ) else {
        panic!("a run")
    };
    assert_eq!((run.over.nodes, run.over.wait.as_deref()), (Some(5), Some("120")));
    assert_eq!(run.over.on_node_loss, OnNodeLoss::Abort);
    assert_eq!(run.listen.nodes_at.port(), 5557);
    assert_eq!(
        command::words_of(&matches, &[]),
        ["--duration=10m", "--users=1000", "--spawn-rate=50", "--", "http://10.0.0.7/"],
        "what is about the fleet is no word of engine run"
    );
    let (SubCommand::Serve(serve), _) = command("serve --allow-target h --nodes-listen [::1]:0") else {
        panic!("serve")
    };
    assert_eq!((serve.http_listen.port(), serve.nodes_listen_port()), (8089, 0));
    let (SubCommand::Serve(serve), _) = command("serve --http-listen 9000 --nodes-listen 127.0.0.2:1") else {
        panic!("serve")
    };
    assert_eq!(serve.http_listen.to_string(), "127.0.0.1:9000");
    assert_eq!(serve.listen.nodes_at.to_string(), "127.0.0.2:1");
}

impl Serve {
    fn nodes_listen_port(&self) -> u16 {
        self.listen.nodes_at.port()
    }
}

#[test]
fn values_of_the_fleet() {
    assert_eq!(seconds("120").ok(), Some(120.0));
    assert_eq!(seconds("2m").ok(), Some(120.0));
    assert_eq!(
        zones("eu=34%, us=66").expect("zones"),
        [("eu".to_owned(), 34.0), ("us".to_owned(), 66.0)].into()
    );
    let (weights, given) = nodes_weighed("5:3:1").expect("weights");
    assert_eq!(weights, Weights::Given);
    assert_eq!(given, [("1".to_owned(), 5), ("2".to_owned(), 3), ("3".to_owned(), 1)].into());
    assert_eq!(
        nodes_weighed("a=5,b=3").expect("weights").1,
        [("a".to_owned(), 5), ("b".to_owned(), 3)].into()
    );
    assert_eq!(nodes_weighed("equal").expect("weights"), (Weights::Equal, [].into()));
    for text in ["", "5:x", "a=5,b", "=5", "a=5,a=6", "5:-3", "fair"] {
        assert!(nodes_weighed(text).is_err(), "{text}");
    }
    for text in ["", "eu", "eu=", "=50", "eu=50,eu=50", "eu=x"] {
        assert!(zones(text).is_err(), "{text}");
    }
    assert!(pairs(&["a".into()]).is_err() && pairs(&["a=1".into(), "a=2".into()]).is_err());
}

#[test]
fn wrong_command_lines_get_one_line() {
    for (line, fragment) in [
        ("", "nothing says what to do → coordinator run --local 2"),
        ("dance", "\"dance\" is no command → one of serve, run, submit, "),
        ("tokens dance", "\"dance\" is no command → one of list, revoke: coordinator tokens --help"),
        ("serve more", "one argument too many (not shown) → coordinator serve takes flags alone"),
        ("drain a b", "one argument too many (not shown) → coordinator drain <NODE>"),
        ("serve --tsp 5", "--tsp: no such flag"),
        ("run --nodse 5", "--nodse: no such flag → did you mean --nodes?"),
        ("run --local x", "--local: \"x\" is no count → a whole number"),
        ("runs --tps 5", "--tps: no such flag → see coordinator runs --help"),
        ("runs --ca ca.pem", "--ca: no such flag → "),
        ("run --vus 5", "--vus: no such flag here → --users COUNT"),
        ("run -tps 5", "-tps: long flags have two dashes → --tps"),
        (
            "run --on-node-loss pray",
            "--on-node-loss: \"pray\" is nothing to do about a lost node → one of redistribute,",
        ),
        (
            "serve --nodes-listen here",
            "--nodes-listen: \"here\" is no address to listen on → a port such as 8089",
        ),
        ("serve --tls-cert a.pem", "--tls-key <FILE>: it is missing → coordinator serve --tls-key <FILE>"),
        ("set-tps", "<RATE>: it is missing → coordinator set-tps <RATE>"),
        ("drain", "<NODE>: it is missing → coordinator drain <NODE>"),
        ("files --upload a --remove b", "do not go together → leave one out: coordinator files --help"),
        ("tokens --role king", "--role: it cannot be \"king\" → one of viewer, operator, node"),
        ("tokens --role", "--role: there is no value → --role <ROLE>"),
        ("certs --days 0 --node a", "--days: \"0\" is no number of days → 1 to 3650"),
    ] {
        let refusal = parsed(line).expect_err(line);
        assert!(refusal.message.contains(fragment), "{line}: {refusal}");
        assert!(!refusal.message.contains('\n') && refusal.message.contains(" → "), "{line}: {refusal}");
        assert_eq!(refusal.exit_code, ExitCode::Usage, "{line}");
    }
    assert!(matches!(parsed("--help"), Ok(Asked::Print(text)) if text.contains("set-tps")));
    let Ok(Asked::Print(help)) = parsed("run --help") else { panic!("help") };
    assert!(help.contains("--local <COUNT>") && help.contains("--json <FILE>"), "{help}");
    assert!(!help.contains("--headless"), "what only scripts say is not shown: {help}");
    for refused in OF_AN_ENGINE {
        assert!(!help.contains(&format!("--{refused}")), "{refused}: {help}");
    }
}
