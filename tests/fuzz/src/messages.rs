//! What nodes and the coordinator of a fleet tell each other, from strangers.

use measure::Totals;
use prost::Message as _;
use wire::grpc::{CoordinatorMessage, NodeMessage};
use wire::{ByShard, FromNode, Measured, ToNode};

/// More names than this are not unpacked: the sums of each take nearly a megabyte, which a coordinator checks first, too.
const NAMES_MAX: usize = 8;

/// The input: whose message it is, then its bytes. What is understood says the same when it is told again.
pub fn wire_message(input: &[u8]) {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % 3 {
        0 => from_node(bytes),
        1 => to_node(bytes),
        _ => measured(bytes),
    }
}

fn from_node(bytes: &[u8]) {
    let Ok(form) = NodeMessage::decode(bytes) else { return };
    let Ok(message) = FromNode::try_from(form) else { return };
    let again = NodeMessage::from(message.clone()).encode_to_vec();
    let again = NodeMessage::decode(again.as_slice()).expect("what was encoded");
    assert_eq!(FromNode::try_from(again), Ok(message));
}

fn to_node(bytes: &[u8]) {
    let Ok(form) = CoordinatorMessage::decode(bytes) else { return };
    let Ok(message) = ToNode::try_from(form) else { return };
    let again = CoordinatorMessage::from(message.clone()).encode_to_vec();
    let again = CoordinatorMessage::decode(again.as_slice()).expect("what was encoded");
    assert_eq!(ToNode::try_from(again), Ok(message));
}

fn measured(bytes: &[u8]) {
    let Ok(packed) = Measured::from_bytes(bytes.to_vec()) else { return };
    let shape = packed.shape();
    if shape.names + shape.workloads + shape.groups > NAMES_MAX || shape.checks > 1_000 {
        return;
    }
    let mut sums = Totals::new(shape);
    packed.add_to(&mut sums, ByShard::LeftOut).expect("it has the shape");
    assert_eq!(sums.counters, packed.counters());
    // Packed again, nothing has changed but the shards, which were left out.
    let again = Measured::pack(&sums);
    assert_eq!(again.unpack(), sums);
}
