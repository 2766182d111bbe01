//! The end-to-end tests of the ci home: every promise of the engine that can be seen from outside within seconds.

mod around;
mod bad_input;
mod bulk;
mod control;
mod debug;
mod digest;
mod documents;
mod drivers;
mod environment;
mod fleet;
mod gbit;
mod journeys;
mod load;
mod oauth2;
mod own_protocols;
mod plan_files;
mod quickstart;
mod rate_cap;
mod routes;
mod s3;
mod share;
mod signals;
mod terminal;
mod thresholds;
mod tls;
mod trust;
