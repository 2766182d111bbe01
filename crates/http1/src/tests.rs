//! Tests of the machine as a whole.

use crate::{Limits, Response, ResponseMachine, Step};

#[test]
fn plain_response() {
    let mut machine = ResponseMachine::new(Limits::default());
    machine.expect(false);
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let response = Response { status: 200, keep_alive: true, head_bytes: 38, body_bytes: 2 };
    assert_eq!(machine.receive(bytes), Ok(Step { consumed: bytes.len(), response: Some(response) }));
}
