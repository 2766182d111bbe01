//! Streams that end with the token that opened them.
//!
//! What it is: the body of a live answer, looked after once a second. Invariant: nothing more is told to a token that has expired
//! or was called back, however long ago its stream was opened.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use tokio::time::{Interval, interval};

use crate::security::TokenKey;

const LOOKED_AFTER: Duration = Duration::from_secs(1);

/// The token with which something was asked.
#[derive(Clone, Debug)]
pub(super) struct Bearing {
    pub(super) key: Arc<TokenKey>,
    /// Its number.
    pub(super) id: String,
    pub(super) expires_s: u64,
}

impl Bearing {
    fn is_good(&self) -> bool {
        clock::wall_time().as_secs() < self.expires_s && self.key.is_good(&self.id)
    }
}

/// A body that ends when its token does.
pub(super) struct Watched {
    body: Body,
    bearing: Bearing,
    looked_after: Interval,
}

impl Watched {
    pub(super) fn new(body: Body, bearing: Bearing) -> Self {
        Self { body, bearing, looked_after: interval(LOOKED_AFTER) }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.looked_after.poll_tick(context).is_ready() {
            if !self.bearing.is_good() {
                return Poll::Ready(None);
            }
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
