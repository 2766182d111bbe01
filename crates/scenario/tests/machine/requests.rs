use scenario::{
    Auth, BodySource, Failure, HeaderField, Iteration, JsonNode, Key, MultipartPart, Next, Origin, Outcome,
    PartValue, RequestStep, Scenario, Size, TokenMessage, validate,
};

use crate::harness::{answer, compile, context, request, run, run_slot, scope, set, template};

const AGENT: &str = concat!("User-Agent: openloop/", env!("CARGO_PKG_VERSION"), "\r\n");

fn header(name: &str, value: &str) -> HeaderField {
    HeaderField { name: name.into(), origin: Origin(0), value: template(value) }
}

fn sent(change: impl FnOnce(&mut RequestStep)) -> String {
    let seen = run(&compile(vec![request(change)]));
    assert_eq!(seen.outcome, Some(Outcome::Done));
    seen.requests[0].replace(AGENT, "")
}

#[test]
fn targets_and_queries() {
    assert_eq!(
        sent(|request| request.url = template("/a?b={{region}}")),
        "GET /a?b=eu HTTP/1.1\r\nHost: shop.test:8080\r\n\r\n"
    );
    let text = sent(|request| {
        request.target = Some(("api".into(), Origin(0)));
        request.url = template("");
        request.query =
            vec![("q x".into(), template("{{users.name}}-{{users.more}}")), ("r".into(), template("é"))];
    });
    assert_eq!(text, "GET /v1/?q%20x=ann-a%20b%26c&r=%C3%A9 HTTP/1.1\r\nHost: api.test\r\n\r\n");
}

#[test]
fn a_number_stands_in_json_without_quotation_marks() {
    let body = |text: &str| {
        let text = JsonNode::Text(template(text));
        compile(vec![request(|request| {
            request.body = BodySource::Json(JsonNode::Map(vec![(template("n"), text)]));
        })])
    };
    let ends = [
        ("{{as_number(iteration)}}", r#"{"n":7}"#),
        ("{{as_number(\"-1.5e3\")}}", r#"{"n":-1.5e3}"#),
        // Among other text it is a part of the text.
        ("no. {{as_number(7)}}", r#"{"n":"no. 7"}"#),
    ];
    for (text, end) in ends {
        let seen = run(&body(text));
        assert!(seen.requests[0].ends_with(end), "{text}: {}", seen.requests[0]);
    }
    for text in ["{{as_number(region)}}", "{{as_number(\"01\")}}", "{{as_number(\"1,2\")}}"] {
        let seen = run(&body(text));
        assert!(seen.requests.is_empty(), "{text}: {:?}", seen.requests);
        assert_eq!(seen.outcome, Some(Outcome::Failed(Failure::Number)));
    }
}

#[test]
fn bodies() {
    let json = JsonNode::Map(vec![
        (
            template("a{{region}}"),
            JsonNode::List(vec![JsonNode::Plain("1".into()), JsonNode::Plain("null".into())]),
        ),
        (template("q\""), JsonNode::Text(template("{{users.name}} {{users.more}} {{ \"\\\"\" }}"))),
    ]);
    let part = |value, filename: Option<&str>| MultipartPart {
        name: "f\"".into(),
        origin: Origin(0),
        value,
        filename: filename.map(str::to_owned),
        content_type: filename.map(|_| "image/png".into()),
    };
    let multipart = BodySource::Multipart(vec![
        part(PartValue::Text(template("{{users.name}}")), None),
        part(PartValue::File("x.png".into(), Origin(0)), Some("x.png")),
    ]);
    for (body, fields, content) in [
        (BodySource::None, "Content-Length: 0", ""),
        (BodySource::Text(template("héllo {{users.name}}")), "Content-Length: 10", "héllo ann"),
        (BodySource::File("x".into(), Origin(0)), "Content-Length: 10", "file\0bytes"),
        (
            BodySource::Form(vec![("a b".into(), template("{{users.name}}")), ("c".into(), template("=&"))]),
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 16",
            "a%20b=ann&c=%3D%26",
        ),
        (
            BodySource::Json(json),
            "Content-Type: application/json\r\nContent-Length: 39",
            r#"{"aeu":[1,null],"q\"":"ann a b&c \""}"#,
        ),
        (
            multipart,
            "Content-Type: multipart/form-data; boundary=openloop-7c1e9a52b0f34d86-part\r\nContent-Length: 276",
            "--openloop-7c1e9a52b0f34d86-part\r\nContent-Disposition: form-data; name=\"f%22\"\r\n\r\nann\r\n\
             --openloop-7c1e9a52b0f34d86-part\r\nContent-Disposition: form-data; name=\"f%22\"; filename=\"x.png\"\r\n\
             Content-Type: image/png\r\n\r\nfile\0bytes\r\n--openloop-7c1e9a52b0f34d86-part--\r\n",
        ),
    ] {
        let fields = fields.rsplit_once(' ').map_or(fields, |(fields, _)| fields);
        let expected =
            format!("POST / HTTP/1.1\r\nHost: shop.test:8080\r\n{fields} {}\r\n\r\n{content}", content.len());
        let text = sent(|request| {
            request.method = "POST".into();
            request.body = body;
        });
        assert_eq!(text, expected);
    }
}

/// The body of the request of a slot.
fn made(size: &Size, slot: u64) -> Result<Vec<u8>, Failure> {
    let program = compile(vec![request(|request| {
        request.method = "PUT".into();
        request.body = BodySource::Bytes(size.clone());
    })]);
    let mut iteration = Iteration::new(&program, 0);
    iteration.begin(Key::new(5, 1), slot, slot);
    let mut out = Vec::new();
    match iteration.resume(&program, &context(), &mut out) {
        Next::Request { .. } => {}
        Next::Ended(Outcome::Failed(failure)) => return Err(failure),
        next => panic!("{next:?}"),
    }
    let end = out.windows(4).position(|four| four == b"\r\n\r\n").expect("the head ends") + 4;
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    let length =
        format!("\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n", out.len() - end);
    assert!(head.contains(&length), "{head}");
    Ok(out.split_off(end))
}

#[test]
fn bodies_are_made_up_to_sizes_and_laws() {
    let given = |text: &str| Size::Given(template(text));
    assert_eq!(made(&given("0"), 1).map(|body| body.len()), Ok(0));
    assert_eq!(made(&given("{{add(iteration, -3)}}"), 10).map(|body| body.len()), Ok(7));
    // What a template comes to is known only when it is filled in.
    for text in
        ["{{add(iteration, -11)}}", "{{users.name}}", "{{lower('1.5')}}", "{{add(1073741824, iteration)}}"]
    {
        assert_eq!(made(&given(text), 10), Err(Failure::Number), "{text}");
    }
    let refused = |text: &str| {
        let scenario = Scenario {
            steps: vec![request(|request| request.body = BodySource::Bytes(given(text)))],
            ..Scenario::default()
        };
        validate(&scenario, &scope()).len()
    };
    assert_eq!([refused("many"), refused("1073741825"), refused("1073741824")], [1, 1, 0]);
    let sizes = |size: &Size| -> Vec<f64> {
        (0..2_000).map(|slot| made(size, slot).expect("it is made").len() as f64).collect()
    };
    for (size, mean, deviation) in [
        (Size::Uniform { low: 100, high: 300 }, 200.0, 58.0),
        (Size::Exponential { mean: 200 }, 200.0, 200.0),
        (Size::Normal { mean: 200, deviation: 20 }, 200.0, 20.0),
        (given("{{normal(200, 20)}}"), 200.0, 20.0),
        (given("{{exponential(200)}}"), 200.0, 200.0),
    ] {
        let found = sizes(&size);
        let found_mean = found.iter().sum::<f64>() / found.len() as f64;
        let variance = found.iter().map(|size| (size - found_mean).powi(2)).sum::<f64>() / found.len() as f64;
        assert!((found_mean - mean).abs() < 0.1 * mean, "{size:?}: mean {found_mean}");
        assert!((variance.sqrt() - deviation).abs() < 0.1 * deviation, "{size:?}: {}", variance.sqrt());
    }
    let law = Size::Uniform { low: 100, high: 300 };
    assert_eq!(made(&law, 3), made(&law, 3), "the same slot sends the same");
    assert_ne!(made(&given("64"), 3), made(&given("64"), 4));
}

#[test]
fn headers_and_credentials() {
    let text = sent(|request| {
        request.headers = vec![header("User-Agent", "mine"), header("X-Id", "{{iteration}}/{{user}}")];
        request.auth =
            Some(Auth::Basic { user: template("{{users.name}}"), password: template("{{secret.password}}") });
    });
    let expected = "GET / HTTP/1.1\r\nHost: shop.test:8080\r\nUser-Agent: mine\r\nX-Id: 7/7\r\nAuthorization: Basic YW5uOmh1bnRlcjI=\r\n\r\n";
    assert_eq!(text, expected);
    let text = sent(|request| request.auth = Some(Auth::Bearer(template("{{setup.token}}"))));
    assert!(text.contains("\r\nAuthorization: Bearer from-setup\r\n"), "{text}");
    let oauth = Auth::OAuth2 {
        token_url: template("http://id.test/token"),
        client_id: template("me"),
        client_secret: template("{{secret.password}}"),
        scope: None,
        in_body: true,
    };
    let basic = Auth::OAuth2 {
        token_url: template("http://id.test/{{region}}"),
        client_id: template("a:b"),
        client_secret: template("{{secret.password}}"),
        scope: Some(template("read write")),
        in_body: false,
    };
    let program = compile(vec![
        request(|request| request.auth = Some(oauth.clone())),
        request(|request| request.auth = Some(oauth)),
        request(|request| request.auth = Some(basic)),
    ]);
    assert_eq!(program.tokens().len(), 2, "one token for those that ask alike");
    let messages: Vec<TokenMessage> =
        program.tokens().iter().map(|request| request.render(&context()).unwrap()).collect();
    assert_eq!(
        messages,
        [
            TokenMessage {
                url: b"http://id.test/token".to_vec(),
                authorization: None,
                body: b"grant_type=client_credentials&client_id=me&client_secret=hunter2".to_vec(),
            },
            TokenMessage {
                url: b"http://id.test/eu".to_vec(),
                authorization: Some(b"Basic YSUzQWI6aHVudGVyMg==".to_vec()),
                body: b"grant_type=client_credentials&scope=read%20write".to_vec(),
            },
        ]
    );
    assert!(!format!("{messages:?}").contains("hunter2"));
    assert!(run(&program).requests[1].contains("\r\nAuthorization: Bearer oauth-token\r\n"));
    let text = sent(|request| {
        request.method = "PUT".into();
        request.headers = vec![header("content-type", "text/x")];
        request.body = BodySource::Json(JsonNode::Plain("1".into()));
    });
    assert!(text.ends_with("\r\ncontent-type: text/x\r\nContent-Length: 1\r\n\r\n1"), "{text}");
}

#[test]
fn what_is_filled_in_forges_no_header() {
    // Columns are numbered as they are used: the third value has a line break.
    let third = "{{ users.a }}{{ users.b }}{{ users.c }}";
    let refused =
        |change: &dyn Fn(&mut RequestStep)| run(&compile(vec![set("x", third), request(change)])).outcome;
    let injected = Some(Outcome::Failed(Failure::Injection));
    assert_eq!(refused(&|request| request.headers = vec![header("X", "{{x}}")]), injected);
    assert_eq!(refused(&|request| request.url = template("/{{users.c}}")), injected);
    assert_eq!(refused(&|request| request.url = template("/{{users.b}}")), injected, "a space");
    assert_eq!(refused(&|request| request.auth = Some(Auth::Bearer(template("{{x}}")))), injected);
    assert_eq!(
        refused(&|request| request.query = vec![("q".into(), template("{{x}}"))]),
        Some(Outcome::Done)
    );
    assert_eq!(refused(&|request| request.body = BodySource::Text(template("{{x}}"))), Some(Outcome::Done));
}

#[test]
fn redirects_keep_what_they_must_and_drop_what_they_must_not_carry() {
    for (status, location, requests) in [
        (
            302,
            "/next",
            "GET /next HTTP/1.1|Host: shop.test:8080|X: 1|Authorization: Bearer t|Cookie: sid=9||",
        ),
        (
            303,
            "next?a",
            "GET /in/next?a HTTP/1.1|Host: shop.test:8080|X: 1|Authorization: Bearer t|Cookie: sid=9||",
        ),
        (
            307,
            "/next",
            "POST /next HTTP/1.1|Host: shop.test:8080|X: 1|Authorization: Bearer t|Cookie: sid=9|Content-Type: text/x|Content-Length: 4||body",
        ),
        (
            308,
            "http://other.test/x",
            "POST /x HTTP/1.1|Host: other.test|X: 1|Content-Type: text/x|Content-Length: 4||body",
        ),
        (301, "//shop.test:81/x", "GET /x HTTP/1.1|Host: shop.test:81|X: 1|Cookie: sid=9||"),
        (302, "https://shop.test:8080/", "GET / HTTP/1.1|Host: shop.test:8080|X: 1|Cookie: sid=9||"),
    ] {
        let program = compile(vec![request(|request| {
            request.method = "POST".into();
            request.url = template("/in/a");
            request.redirects = 1;
            request.headers = vec![header("X", "1"), header("Content-Type", "text/x")];
            request.auth = Some(Auth::Bearer(template("t")));
            request.body = BodySource::Text(template("body"));
        })]);
        let head = format!("Set-Cookie: sid=9; Path=/\r\nLocation: {location}\r\n");
        let seen = run_slot(&program, 1, |_| answer(status, &head, b""));
        // One redirect is followed; the second response is the answer, whatever it is.
        assert_eq!((seen.requests.len(), seen.outcome), (2, Some(Outcome::Done)));
        assert_eq!(seen.requests[1].replace(AGENT, "").replace("\r\n", "|"), requests, "{status} {location}");
    }
    let program = compile(vec![request(|request| request.redirects = 3)]);
    let seen = run_slot(&program, 1, |_| answer(302, "Location: ftp://x/", b""));
    assert_eq!(seen.outcome, Some(Outcome::Failed(Failure::Redirect)));
    let seen = run_slot(&program, 1, |_| answer(302, "", b""));
    assert_eq!(
        (seen.requests.len(), seen.outcome),
        (1, Some(Outcome::Done)),
        "no location: a response like any other"
    );
}

#[test]
fn cookies_come_back() {
    let program = compile(vec![
        request(|_| {}),
        request(|request| request.target = Some(("api".into(), Origin(0)))),
        request(|_| {}),
    ]);
    let seen = run_slot(&program, 1, |index| {
        answer(200, if index == 0 { "Set-Cookie: a=1; Path=/\r\n" } else { "" }, b"")
    });
    let has_cookie: Vec<bool> =
        seen.requests.iter().map(|request| request.contains("\r\nCookie: a=1\r\n")).collect();
    assert_eq!(has_cookie, [false, false, true]);
}
