//! Responses from a hostile server, cut anywhere.

use http1::{Ending, Limits, ProtocolError, Response, ResponseMachine};

const HEAD_REQUEST: u8 = 1;
const SMALL_LIMITS: u8 = 2;
const DISCARD: u8 = 4;

/// What a machine says about an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    response: Option<Response>,
    error: Option<ProtocolError>,
}

/// The input: a byte of flags, how many pieces there are, the size of each piece but the last, and the bytes that a
/// server sends before its FIN. The response machine must say the same about them in one piece, in these pieces
/// and in single bytes.
pub fn http1_response(input: &[u8]) {
    let [flags, count, rest @ ..] = input else { return };
    let (sizes, bytes) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let limits = if flags & SMALL_LIMITS == 0 {
        Limits::default()
    } else {
        Limits { head_bytes: 64, body_bytes: 32, interim: 2 }
    };
    let head_request = flags & HEAD_REQUEST != 0;
    let sizes: Vec<usize> = sizes.iter().map(|size| usize::from(*size)).collect();
    let run = |sizes: &[usize], discard| exchange(bytes, sizes, limits, head_request, discard);

    let whole = run(&[], false);
    assert_eq!(run(&sizes, flags & DISCARD != 0), whole);
    assert_eq!(run(&vec![1; bytes.len()], false), whole);
    check(&whole, bytes, limits);
}

/// What holds of every trace.
fn check(trace: &Trace, bytes: &[u8], limits: Limits) {
    assert!(trace.response.is_some() || trace.error.is_some(), "FIN leaves nothing open");
    if let Some(response) = trace.response {
        assert!((200..=999).contains(&response.status));
        assert!(response.head_bytes <= limits.head_bytes);
        assert!(response.body_bytes <= limits.body_bytes);
        assert!(u64::from(response.head_bytes) + response.body_bytes <= bytes.len() as u64);
        assert!(trace.error.is_none_or(|error| error == ProtocolError::Unsolicited));
    }
}

fn exchange(bytes: &[u8], sizes: &[usize], limits: Limits, head_request: bool, discard: bool) -> Trace {
    let mut machine = ResponseMachine::new(limits);
    machine.expect(head_request);
    let mut trace = Trace { response: None, error: None };
    let mut sizes = sizes.iter();
    let mut rest = bytes;
    while !rest.is_empty() {
        let due = usize::try_from(machine.discardable()).expect("bodies are below the limit");
        let count = if discard { due.min(rest.len()) } else { 0 };
        let step = if count > 0 {
            rest = &rest[count..];
            machine.discarded(count as u64)
        } else {
            let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
            let step = machine.receive(&rest[..size]);
            if let Ok(step) = step {
                assert!(step.consumed == size || step.response.is_some(), "bytes left without a response");
                rest = &rest[step.consumed..];
            }
            step
        };
        match step {
            Ok(step) => {
                if let Some(response) = step.response {
                    assert_eq!(trace.response.replace(response), None, "two responses for one request");
                }
            }
            Err(error) => {
                trace.error = Some(error);
                assert_eq!(machine.end(), Err(error));
                return trace;
            }
        }
    }
    match machine.end() {
        Ok(Ending::Idle) => assert!(trace.response.is_some()),
        Ok(Ending::Complete(response)) => assert_eq!(trace.response.replace(response), None),
        Err(error) => trace.error = Some(error),
    }
    trace
}
