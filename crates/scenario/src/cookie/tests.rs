use super::*;

const NOW: u64 = 1_763_666_374_000_000_000;

fn at(host: &'static str, path: &'static str) -> Place<'static> {
    Place { host: host.as_bytes(), path: path.as_bytes(), is_secure: host.starts_with("s.") }
}

fn sent(jar: &Jar, place: Place<'_>, unix_ns: u64) -> String {
    let mut out = place.path.to_vec();
    jar.push_header(place.host, place.is_secure, 0..place.path.len(), unix_ns, &mut out);
    String::from_utf8(out.split_off(place.path.len())).unwrap()
}

#[test]
fn cookies_go_where_they_belong() {
    for (set, from, to, expected) in [
        ("a=1", at("h.x", "/"), at("h.x", "/b/c"), "Cookie: a=1\r\n"),
        ("a=\"q\"; HttpOnly; SameSite=Lax", at("h.x", "/"), at("h.x", "/"), "Cookie: a=\"q\"\r\n"),
        ("a=", at("h.x", "/"), at("h.x", "/"), "Cookie: a=\r\n"),
        ("a=1", at("h.x", "/"), at("i.x", "/"), ""),
        ("a=1", at("h.x", "/p/q"), at("h.x", "/p/r"), "Cookie: a=1\r\n"),
        ("a=1", at("h.x", "/p/q"), at("h.x", "/pp"), ""),
        ("a=1; Path=/p", at("h.x", "/"), at("h.x", "/p"), "Cookie: a=1\r\n"),
        ("a=1; Path=/p", at("h.x", "/"), at("h.x", "/px"), ""),
        ("a=1; Path=p", at("h.x", "/q/"), at("h.x", "/q"), "Cookie: a=1\r\n"),
        ("a=1; Secure", at("h.x", "/"), at("h.x", "/"), ""),
        ("a=1; Secure", at("s.x", "/"), at("s.x", "/"), "Cookie: a=1\r\n"),
        ("a=1; Domain=example.com", at("h.example.com", "/"), at("i.example.com", "/"), "Cookie: a=1\r\n"),
        ("a=1; Domain=.example.com", at("h.example.com", "/"), at("example.com", "/"), "Cookie: a=1\r\n"),
        ("a=1; Domain=other.com", at("h.example.com", "/"), at("other.com", "/"), ""),
        ("a=1; Domain=com", at("h.com", "/"), at("i.com", "/"), ""),
        ("a=1; Domain=0.0.1", at("127.0.0.1", "/"), at("127.0.0.1", "/"), ""),
        ("a=1; Max-Age=0", at("h.x", "/"), at("h.x", "/"), ""),
        ("a=1; Max-Age=-5", at("h.x", "/"), at("h.x", "/"), ""),
        (
            "a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            at("h.x", "/"),
            at("h.x", "/"),
            "Cookie: a=1\r\n",
        ),
        ("a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT", at("h.x", "/"), at("h.x", "/"), ""),
        ("a=1; Expires=Wed, 21-Oct-37 07:28:00 GMT", at("h.x", "/"), at("h.x", "/"), "Cookie: a=1\r\n"),
        ("a=1; Expires=soon", at("h.x", "/"), at("h.x", "/"), "Cookie: a=1\r\n"),
        ("nothing", at("h.x", "/"), at("h.x", "/"), ""),
        ("=1", at("h.x", "/"), at("h.x", "/"), ""),
        ("a b=1", at("h.x", "/"), at("h.x", "/"), ""),
        ("a=x\0y", at("h.x", "/"), at("h.x", "/"), ""),
    ] {
        let mut jar = Jar::default();
        jar.receive(format!("HTTP/1.1 200 OK\r\nSet-Cookie: {set}\r\n").as_bytes(), from, NOW);
        assert_eq!(sent(&jar, to, NOW), expected, "{set}");
    }
}

#[test]
fn cookies_are_replaced_deleted_and_end() {
    let mut jar = Jar::default();
    let place = at("h.x", "/p/q");
    jar.receive(b"Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nset-cookie: c=3; Max-Age=60\r\n", place, NOW);
    assert_eq!(sent(&jar, place, NOW), "Cookie: a=1; c=3; b=2\r\n");
    assert_eq!(sent(&jar, place, NOW + 60_000_000_000), "Cookie: a=1; b=2\r\n");
    jar.receive(b"Set-Cookie: a=4\r\nSet-Cookie: b=; Path=/; Max-Age=0\r\n", place, NOW);
    assert_eq!(sent(&jar, place, NOW), "Cookie: c=3; a=4\r\n");
    jar.clear();
    assert_eq!(sent(&jar, place, NOW), "");
}

#[test]
fn jars_are_bounded() {
    let mut jar = Jar::default();
    let place = at("h.x", "/");
    for index in 0..60 {
        jar.receive(format!("Set-Cookie: c{index}=1").as_bytes(), place, NOW);
    }
    let all = sent(&jar, place, NOW);
    assert!(all.starts_with("Cookie: c10=1; ") && all.ends_with("; c59=1\r\n"), "{all}");
    jar.receive(format!("Set-Cookie: big={}", "x".repeat(BYTES_MAX - 9)).as_bytes(), place, NOW);
    assert_eq!(jar.cookies.len(), 1);
    jar.receive(format!("Set-Cookie: big={}", "x".repeat(BYTES_MAX)).as_bytes(), place, NOW);
    assert!(jar.bytes.len() <= BYTES_MAX);
}

#[test]
fn dates() {
    for (text, seconds) in [
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480)),
        ("Thursday, 01-Jan-70 00:00:10 GMT", Some(10)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        ("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800)),
        ("Mon, 01 Jan 1601 00:00:00 GMT", Some(0)),
        ("21 Oct 2015", None),
        ("Oct 2015 07:28:00", None),
        ("", None),
        ("21 Oct 2015 07:xx:00", None),
    ] {
        assert_eq!(date(text.as_bytes()), seconds.map(|seconds: u64| seconds * 1_000_000_000), "{text}");
    }
}

#[test]
fn values_are_found_by_name() {
    let head = b"Set-Cookie: a=1; Path=/\r\nSet-Cookie: sid=x=y; Secure\r\n";
    assert_eq!(set_value(head, "sid"), Some(&b"x=y"[..]));
    assert_eq!(set_value(head, "none"), None);
}
