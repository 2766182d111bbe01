use super::*;

#[test]
fn keys_mean_steps_and_a_stop() {
    for (bytes, steps, stop) in [
        (&b""[..], 0, false),
        (b"+", 1, false),
        (b"=++-", 2, false),
        (b"__-", -3, false),
        (b"xq", 0, true),
        (b"\x1b[A\x1b-q", 0, false),
        (b"+\x1b[1;5q", 1, false),
    ] {
        assert_eq!(Pressed::of(bytes), Pressed { steps, stop }, "{bytes:?}");
    }
}
