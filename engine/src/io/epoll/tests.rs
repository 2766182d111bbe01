//! What is the epoll driver's own: timing of waits, refusals by this machine. The rest is in the conformance
//! suite of all drivers.

use std::net::{Ipv4Addr, TcpListener};

use super::*;

const MILLI: u64 = 1_000_000;

fn driver(connections: u32) -> EpollIo {
    let limits = Limits { connections, buffer_size: 4_096, buffer_count: 8 };
    EpollIo::new(limits, SocketOptions::default()).unwrap()
}

#[test]
fn sleeps_until_the_instant_and_not_much_longer() {
    let mut driver = driver(1);
    for wanted in [0, 30_000, 700_000, 3 * MILLI, 9 * MILLI, 40 * MILLI] {
        let until = driver.now().plus_nanos(wanted);
        driver.wait(Wait::Until(until)).unwrap();
        let late = driver.now();
        assert!(late >= until, "woke {} ns early of {wanted}", until.nanos_since(late));
        // Generous, for machines that run much else; a millisecond clock alone would not show here.
        assert!(late.nanos_since(until) < 200 * MILLI, "woke {} ns late", late.nanos_since(until));
    }
}

#[test]
fn keeps_sub_millisecond_deadlines_most_of_the_time() {
    let mut driver = driver(1);
    let mut late: Vec<u64> = (0..200)
        .map(|_| {
            let until = driver.now().plus_nanos(150_000);
            driver.wait(Wait::Until(until)).unwrap();
            driver.now().nanos_since(until)
        })
        .collect();
    late.sort_unstable();
    // A millisecond timeout would be late by 850 µs each time. The best tenth shows what the timer can do.
    assert!(late[20] < 500_000, "the best tenth woke {} ns late", late[20]);
}

#[test]
fn a_full_table_and_a_foreign_source_are_local_refusals() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut driver = driver(1);
    driver.connect(&address).unwrap();
    assert_eq!(driver.connect(&address), Err(OsErrno::NOBUFS.into()));

    let options = SocketOptions { source: Some(Ipv4Addr::new(192, 0, 2, 1).into()) };
    let limits = Limits { connections: 1, buffer_size: 64, buffer_count: 2 };
    let mut elsewhere = EpollIo::new(limits, options).unwrap();
    assert_eq!(elsewhere.connect(&address), Err(OsErrno::ADDRNOTAVAIL.into()));
}

#[test]
fn event_data_names_the_connection() {
    for conn in [
        ConnId { index: 0, generation: 0 },
        ConnId { index: 7, generation: u32::MAX },
        ConnId { index: u32::MAX - 1, generation: 3 },
    ] {
        assert_eq!(from_event_data(to_event_data(conn)), conn);
    }
}
