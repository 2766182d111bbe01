//! The digest by which two sides know that they hold the same plan.
//!
//! What it is: SHA-256 over a spec as it travels, whose lists and maps have one order. What it is not: a signature.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{Spec, grpc};

impl Spec {
    /// The digest of this plan. Whoever prepares it names it, and a node that names another does not take part.
    pub fn digest(&self) -> crate::Sha256 {
        Sha256::digest(grpc::Spec::from(self.clone()).encode_to_vec()).into()
    }
}
