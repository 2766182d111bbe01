//! Counts what an iteration allocates once its buffers have room: nothing.
//!
//! A test binary of its own, because it replaces the allocator. The counter is per thread, so that the test harness's own
//! threads do not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // A thread that is being torn down has no counter any more, and nothing to prove.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call is handed on unchanged to the system allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the pointer came from the system allocator through this one; the rest is the caller's contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from the system allocator through this one.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
#[path = "machine/harness.rs"]
#[expect(dead_code, reason = "this binary needs a part of what the other tests share")]
mod harness;

#[cfg(test)]
mod iterations {
    use scenario::{
        Auth, BodySource, Check, Extraction, Iteration, JsonNode, JsonPath, Key, Next, Origin, Outcome,
        Pattern, Program, RegexSubject, Repeat, Size, Source, Step, Subject, Test, Then, Think, Workspace,
    };

    use crate::ALLOCATIONS;
    use crate::harness::{answer, compile, context, get, request, set, template};

    fn program() -> Program {
        let extract = |variable: &str, source| Extraction {
            variable: variable.into(),
            origin: Origin(0),
            source,
            default: None,
        };
        let json = |path: &str| JsonPath::parse(path, Origin(0)).unwrap();
        let pattern = Pattern::parse("(i)d=([0-9]+)", Origin(0)).unwrap();
        let login = request(|request| {
            request.method = "POST".into();
            request.url = template("/login?u={{users.name}}");
            request.query = vec![("q".into(), template("{{url(region)}} {{random(1, 100)}}"))];
            request.body =
                BodySource::Json(JsonNode::Text(template("{{uuid}} {{base64(sha256(iteration))}} {{iso}}")));
            request.redirects = 2;
            request.extractions = vec![
                extract("token", Source::Json(json("$.items[-1].token"))),
                extract("id", Source::Regex { pattern, group: 2, subject: RegexSubject::Body }),
                extract("sid", Source::Cookie("sid".into())),
            ];
            let tests = vec![Test::Is(template("{{region}}")), Test::Contains(template("e"))];
            let check =
                |subject, tests| Check { name: "c".into(), origin: Origin(0), subject, tests, stops: false };
            request.checks = vec![
                check(Subject::Json(json("$.region")), tests),
                check(Subject::Body, vec![Test::Not(template("x"))]),
            ];
        });
        let rounds = Repeat {
            count: template("{{ pick(3, 3) }}"),
            counter: Some(("i".into(), Origin(0))),
            steps: vec![
                get("/{{i}}/{{token}}?{{hmac_sha256(secret.password, id)}}"),
                Step::Think(Think::Exponential { mean_ns: 5 }),
            ],
        };
        let signed = request(|request| {
            request.url = template("/bucket/{{iteration}}?b&a=%20");
            request.auth = Some(Auth::Aws {
                access_key: template("key"),
                secret_key: template("{{secret.password}}"),
                session_token: Some(template("t")),
                region: template("{{region}}"),
                service: template("s3"),
            });
        });
        let uploaded = request(|request| {
            request.method = "PUT".into();
            request.url = template("/{{add(iteration, 1)}}/{{normal(9, 2)}}/{{exponential(9)}}");
            request.body = BodySource::Bytes(Size::Uniform { low: 0, high: 2_000 });
        });
        let challenged = request(|request| {
            request.auth = Some(Auth::Digest {
                user: template("{{users.name}}"),
                password: template("{{secret.password}}"),
            });
        });
        compile(vec![
            login,
            signed,
            challenged,
            uploaded,
            set("token", "{{token}}{{upper(token)}}"),
            Step::Repeat(rounds),
        ])
    }

    const HEAD: &str = "Location: ../next?a=b\r\nSet-Cookie: sid=s1; Path=/; Max-Age=60\r\nSet-Cookie: b=2\r\n\
         WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
    const BODY: &[u8] =
        br#"{"items": [{"token": "x"}, {"token": "a\u00e4"}], "region": "eu", "text": "id=77"}"#;

    /// One iteration; the first response is a redirect.
    fn iterate(
        program: &Program,
        iteration: &mut Iteration,
        out: &mut Vec<u8>,
        workspace: &mut Workspace,
        slot: u64,
    ) -> usize {
        let mut requests = 0;
        iteration.begin(Key::new(1, 0), slot, slot);
        loop {
            match iteration.resume(program, &context(), out) {
                Next::Request { step } => {
                    let mut status = match requests {
                        0 => 303,
                        _ if iteration.is_bare() => 401,
                        _ => 200,
                    };
                    loop {
                        out.clear();
                        requests += 1;
                        let given = answer(status, HEAD, BODY);
                        match iteration.answer(program, step, &context(), &given, workspace).then {
                            Then::Continue => break,
                            Then::Redirect => iteration.follow(program, step, &context(), out).unwrap(),
                            Then::Again => iteration.again(program, step, &context(), out).unwrap(),
                            Then::Ended(outcome) => panic!("{outcome:?}"),
                        }
                        status = 200;
                    }
                }
                Next::Ended(outcome) => {
                    assert_eq!(outcome, Outcome::Done);
                    return requests;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn allocate_nothing_when_their_buffers_have_room() {
        let program = program();
        let mut iteration = Iteration::new(&program, 4 << 10);
        let mut workspace = Workspace::new(64 << 10);
        let mut out = Vec::with_capacity(4 << 10);
        let before = ALLOCATIONS.get();
        let requests = iterate(&program, &mut iteration, &mut out, &mut workspace, 0);
        assert_eq!(requests, 9);
        assert!(ALLOCATIONS.get() > before, "the counter counts");
        for slot in 1..20 {
            iterate(&program, &mut iteration, &mut out, &mut workspace, slot);
        }
        let before = ALLOCATIONS.get();
        for slot in 20..200 {
            iterate(&program, &mut iteration, &mut out, &mut workspace, slot);
        }
        assert_eq!(ALLOCATIONS.get() - before, 0);
    }
}
