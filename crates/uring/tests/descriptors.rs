//! No descriptor outlives its driver or its connection. A binary of its own, because it counts those of the whole
//! process.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by where it panics")]

use std::net::{Ipv4Addr, TcpListener};

use uring::{Completion, Driver, Limits, Wait};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn descriptors_are_given_back() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits { connections: 8, buffer_size: 1024, buffer_count: 16 };
    let before = open_descriptors();
    for _ in 0..30 {
        let mut driver = Driver::new(limits).expect("this machine offers a ring");
        let idle = open_descriptors();
        assert!(idle > before, "the count sees the ring");
        let conns: Vec<_> = (0..8).map(|_| driver.connect(&address).unwrap()).collect();
        assert_eq!(open_descriptors(), idle + 8, "the count sees connections");
        let mut connected = 0;
        let deadline = uring::now().plus_nanos(20_000_000_000);
        while connected < 8 && uring::now() < deadline {
            driver.wait(Wait::Until(deadline)).unwrap();
            while let Some(completion) = driver.completion() {
                assert!(matches!(completion, Completion::Connected { .. }), "{completion:?}");
                connected += 1;
            }
        }
        for conn in &conns[..4] {
            driver.close(*conn);
        }
        let deadline = uring::now().plus_nanos(20_000_000_000);
        while open_descriptors() > idle + 4 && uring::now() < deadline {
            driver.wait(Wait::Until(uring::now().plus_nanos(1_000_000))).unwrap();
        }
        assert_eq!(open_descriptors(), idle + 4);
        // The other four, and the ring, go with the driver.
        drop(driver);
        assert_eq!(open_descriptors(), before);
        for _ in 0..8 {
            drop(listener.accept().unwrap());
        }
    }
}
