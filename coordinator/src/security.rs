//! Who may ask what: tokens, certificates, and where the coordinator may listen.
//!
//! What it is: the rules and the papers, for the HTTP edge and for the nodes' edge alike.
//! What it is not: an edge; nothing here listens.
//!
//! Invariants: secrets are compared in constant time, appear in no `Debug` text and in no error. Beyond loopback nothing
//! listens without TLS and tokens.

mod audit;
mod bind;
mod certificates;
mod commands;
mod limiter;
mod places;
mod register;
mod tls;
mod tokens;

pub use audit::Audit;
pub(crate) use bind::is_loopback;
pub use bind::{BindRefused, check_bind};
pub use certificates::{Authority, CertificateError, CertificatesRequest, IssuedFiles, write_certificates};
pub use commands::{CertsArgs, RoleName, TOKEN_KEY_FILE, TokensArgs, TokensCommand, certs, tokens};
pub use limiter::{FailureLimiter, Tried};
pub use places::{Place, Places};
pub use register::{Entry, Register};
pub use tls::{TlsError, is_named, server_config};
pub use tokens::{Grant, LONGEST_LIFETIME_S, Role, TokenError, TokenKey, id_of};
