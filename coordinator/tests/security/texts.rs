//! S5: hostile texts of nodes and plans, beyond the page (`tests/http/page.rs` shows forty of them in a real Chromium).
//! Whatever somebody calls something, it stays a text: in documents, in events, in metrics, on a terminal.

use std::collections::BTreeMap;

use serde_json::json;
use wire::{FromNode, Hello, LogLine, Refusal, ToNode};

use crate::client::{connect, request};
use crate::rogue::{Rogue, hello};
use crate::serving::{Serving, command};

/// What would clear a screen, rename a terminal, begin another line or another element, if it were more than a text.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m",
    "one\r\nevent: end\ndata: {}\n\n",
    "x\"} 1\nopenloop_forged_total 1",
    "\u{202e}gpj.exe",
    "=cmd|' /C calc'!A0",
];

#[tokio::test]
async fn s5_hostile_texts_stay_texts_in_every_form_that_is_told() {
    let serving = Serving::start(&["--lease", "20s"]);
    let labels = BTreeMap::from([("rack".to_owned(), HOSTILE[0].to_owned())]);
    let mut node = Rogue::attend(serving.nodes, None).await.unwrap();
    let host = HOSTILE[2].to_owned();
    node.say(FromNode::Hello(Hello { host, labels, zone: Some(HOSTILE[1].to_owned()), ..hello("alpha") }));
    node.until(|message| matches!(message, ToNode::Welcome(_))).await.unwrap();
    let lines = HOSTILE.iter().enumerate().map(|(number, text)| LogLine {
        number: number as u64,
        unix_ns: 1,
        run: None,
        text: (*text).to_owned(),
    });
    node.say(FromNode::Log(lines.collect()));
    // A refusal of a node becomes the reason of a run.
    let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
    let run = serving.submit(&json!({"words": words, "name": "refused"}));
    let prepare = node.until(|message| matches!(message, ToNode::Prepare { .. })).await;
    let Some(ToNode::Prepare { run: key, spec, .. }) = prepare else { panic!("it is asked") };
    let outcome = Err(Refusal { exit_code: 3, message: HOSTILE.join(" ") });
    let refusal = wire::Prepared { run: key, spec: spec.digest(), outcome };
    node.say(FromNode::Prepared(Box::new(refusal)));
    serving.until(&format!("/api/v1/runs/{run}"), |view| (view["state"] == "refused").then_some(()));
    for text in HOSTILE {
        let words = ["--url=http://127.0.0.1:9/", "--tps=1", "--duration=9s"];
        let asked = json!({"words": words, "name": text, "tags": {text: text}, "nodes": {"expect": 99}});
        let answer = serving.post("/api/v1/runs", &asked);
        assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
        is_quoted(&answer.text());
        for path in ["/api/v1/runs", "/api/v1/nodes/x/drain", "/api/v1/files"] {
            let answer = serving.post(path, &json!({text: text, "words": [text]}));
            assert!((400..500).contains(&answer.status), "{path}: {}", answer.text());
            is_quoted(&answer.text());
        }
    }
    serving.until("/api/v1/logs", |logs| logs.to_string().contains("owned").then_some(()));

    for path in ["/api/v1/fleet", "/api/v1/nodes", "/api/v1/runs", "/api/v1/logs", "/metrics"] {
        let answer = serving.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!answer.header("content-type").unwrap().contains("html"), "{path}");
        is_quoted(&answer.text());
        if path == "/metrics" {
            assert!(
                !answer.text().lines().any(|line| line.starts_with("openloop_forged")),
                "{}",
                answer.text()
            );
        }
    }
    // In a stream of events a line break would begin another event.
    let mut stream = connect(serving.people);
    let asked = request(serving.people, &format!("GET /api/v1/runs/{run}/stream"), &[], b"");
    std::io::Write::write_all(&mut stream, &asked).unwrap();
    let told = crate::client::answer(&mut stream).text();
    assert!(told.contains("event: history") && told.matches("event: end").count() == 1, "{told}");
    is_quoted(&told);
    // People's terminals, by the commands that ask.
    let at = format!("http://{}", serving.people);
    for words in [&["runs"][..], &["nodes"], &["status"], &["logs"], &["status", &run], &["files"]] {
        let (code, told, said) = command(&[words, &["--coordinator", &at]].concat(), serving.folder());
        assert_eq!(code, Some(0), "{words:?}: {said}");
        is_inert(&told);
        is_inert(&said);
    }
    is_inert(&serving.said());
}

/// Whether nothing in a document for programs begins a command of a terminal: JSON has other words for it.
fn is_quoted(text: &str) {
    assert!(!text.contains(['\u{1b}', '\u{7}', '\0']), "{text}");
}

/// Whether nothing in a text would be obeyed by a terminal: line breaks are the only control characters.
fn is_inert(text: &str) {
    let control = |letter: char| letter.is_control() && letter != '\n' && letter != '\r';
    let strange = text.find(|letter| control(letter) || letter == '\u{202e}');
    let around = strange.map(|at| text[at.saturating_sub(40)..].chars().take(80).collect::<String>());
    assert_eq!(around, None, "a control character got through");
}
