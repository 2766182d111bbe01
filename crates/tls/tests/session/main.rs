//! Sessions against rustls' own server, all in memory.

// `cfg(test)` tells clippy that these are tests, helpers included.
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod failure;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod setup;
