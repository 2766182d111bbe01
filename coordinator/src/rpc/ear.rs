//! The hearing of one node: what it says, as long as it may say it.
//!
//! What it is: what stands between a stream and the queue of everything that is heard. What it is not: a judge of what a node
//! measured.

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, OsClock, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tonic::Streaming;
use wire::grpc::NodeMessage;
use wire::{FromNode, ToNode};

use super::lines::LineGate;
use super::{Heard, Peer, STRANGERS_PATIENCE, Shared};
use crate::security::{TokenKey, is_named};

/// Whether a node's token is still good is looked at this often.
const LOOKED_AFTER: Duration = Duration::from_secs(1);

/// A message of so many bytes is large: a second of a hundred names is not.
const LARGE: usize = 256 << 10;

/// Bytes of what may be long in a message.
fn size(message: &FromNode) -> usize {
    match message {
        FromNode::Delta(delta) => delta.measured.bytes().len(),
        FromNode::Finished(finished) => finished.summary.len(),
        FromNode::Prepared(prepared) => prepared.outcome.as_ref().map_or(0, |told| told.summary.len()),
        _ => 0,
    }
}

/// What hears a node.
pub(super) struct Ear {
    edge: Arc<Shared>,
    session: u64,
    peer: Option<Peer>,
    /// The number of the token that let it in.
    token: Option<String>,
    /// To tell it why it is not let in.
    tell: mpsc::WeakSender<ToNode>,
    lines: LineGate,
}

impl Ear {
    pub(super) fn new(
        edge: Arc<Shared>,
        session: u64,
        peer: Option<Peer>,
        token: Option<String>,
        tell: mpsc::WeakSender<ToNode>,
    ) -> Self {
        Self { edge, session, peer, token, tell, lines: LineGate::default() }
    }

    /// Hears a node until it ends, says what cannot be read, or its token is called back.
    pub(super) async fn hear(mut self, mut said: Streaming<NodeMessage>) {
        let begin = OsClock.now();
        let mut is_known = false;
        let mut looked_after = tokio::time::interval(LOOKED_AFTER);
        loop {
            let message = tokio::select! {
                // What cannot be read ends the stream: a node of this version sends nothing else.
                message = said.next() => match message {
                    Some(Ok(message)) => message,
                    _ => break,
                },
                _ = looked_after.tick() => {
                    let waited = Duration::from_nanos(OsClock.now().nanos_since(begin));
                    if (is_known || waited < STRANGERS_PATIENCE) && self.is_good() {
                        continue;
                    }
                    break;
                }
            };
            let at = OsClock.now();
            let Ok(message) = FromNode::try_from(message) else { break };
            is_known = true;
            let message = match self.admitted(at, message) {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(why) => {
                    self.refuse(&why);
                    break;
                }
            };
            let place = if size(&message) > LARGE {
                // The places never close.
                Arc::clone(&self.edge.large).acquire_owned().await.ok()
            } else {
                None
            };
            let heard = Heard::Message(self.session, at, Box::new(message), place);
            if self.edge.heard.send(heard).await.is_err() {
                return;
            }
        }
        let _ = self.edge.heard.send(Heard::Closed(self.session)).await;
    }

    /// Whether the token that let it in was not called back meanwhile.
    fn is_good(&self) -> bool {
        let revoked = |(key, id): (&Arc<TokenKey>, &String)| !key.is_good(id);
        if !self.edge.tokens.as_ref().zip(self.token.as_ref()).is_some_and(revoked) {
            return true;
        }
        self.refuse("its token was called back");
        false
    }

    /// What passes of a message: a node with a certificate is the one that stands in it, and its log is bounded.
    ///
    /// # Errors
    /// It is somebody else.
    fn admitted(&mut self, at: Timestamp, message: FromNode) -> Result<Option<FromNode>, String> {
        match message {
            FromNode::Hello(hello) => {
                let certificate = self.peer.as_ref().and_then(|peer| peer.certificate.as_ref());
                if certificate.is_some_and(|certificate| !is_named(certificate, &hello.node)) {
                    let node = report::sanitized(&hello.node);
                    return Err(format!(
                        "its certificate is not that of node {node} → coordinator certs --node"
                    ));
                }
                Ok(Some(FromNode::Hello(hello)))
            }
            FromNode::Log(lines) => {
                let lines = self.lines.admitted(at, lines);
                Ok((!lines.is_empty()).then_some(FromNode::Log(lines)))
            }
            message => Ok(Some(message)),
        }
    }

    fn refuse(&self, why: &str) {
        if let Some(peer) = &self.peer {
            self.edge.note(peer.address, why);
        }
        if let Some(tell) = self.tell.upgrade() {
            // Where it does not read, it is not told.
            let _ = tell.try_send(ToNode::Refused { reason: why.to_owned() });
        }
    }
}
