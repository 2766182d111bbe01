//! `redis-load`: the engine's command line, speaking to Redis.
//!
//! ```text
//! redis-load redis://127.0.0.1:6379 --tps 5000 -d 30s --mix SET=1,GET=8,INCR=1 --threshold 'GET: p99<2ms'
//! ```

#![forbid(unsafe_code)]

use std::process::ExitCode;

use engine::protocol::{About, Flag, Scheme, run};
use redis::{Options, Redis};

const ABOUT: About = About {
    name: "redis-load",
    about: "Loads a Redis server on schedule, whatever it does, and says so when it could not.",
    schemes: &[
        Scheme { name: "redis", default_port: 6379, is_secure: false },
        Scheme { name: "rediss", default_port: 6379, is_secure: true },
    ],
    flags: &[
        Flag {
            name: "mix",
            value: "COMMAND=WEIGHT,…",
            help: "What is sent, how often: SET, GET and INCR [default: SET=1,GET=8,INCR=1]",
        },
        Flag { name: "keys", value: "COUNT", help: "How many keys there are [default: 10000]" },
        Flag { name: "value-size", value: "BYTES", help: "Bytes that SET stores [default: 64]" },
        Flag {
            name: "username",
            value: "NAME",
            help: "Who logs in with the password that REDIS_PASSWORD holds; without that nobody does",
        },
    ],
};

fn main() -> ExitCode {
    run(&ABOUT, std::env::args_os(), |given| {
        Redis::new(&Options {
            mix: given.text("mix"),
            keys: given.text("keys"),
            value_size: given.text("value-size"),
            username: given.text("username"),
            password: std::env::var("REDIS_PASSWORD").ok(),
        })
    })
}
