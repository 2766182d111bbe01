//! What is the epoll driver's own: timing of waits, refusals by this machine. The rest is in the conformance
//! suite of all drivers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::*;

const MILLI: u64 = 1_000_000;

fn driver(connections: u32) -> EpollIo {
    let limits = Limits { connections, buffer_size: 4_096, buffer_count: 8 };
    EpollIo::new(limits).unwrap()
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
    driver.connect(&address.into()).unwrap();
    assert_eq!(driver.connect(&address.into()), Err(crate::io::TABLE_FULL));

    let foreign = Route::Tcp { peer: address, source: Some(Ipv4Addr::new(192, 0, 2, 1).into()) };
    let limits = Limits { connections: 1, buffer_size: 64, buffer_count: 2 };
    let mut elsewhere = EpollIo::new(limits).unwrap();
    assert_eq!(elsewhere.connect(&foreign), Err(OsErrno::ADDRNOTAVAIL.into()));
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

#[test]
fn what_the_network_refuses_at_once_is_still_a_completion() {
    // TCP to the broadcast address is refused before a packet leaves: as by a network without a route.
    let address = Route::from(SocketAddr::from((Ipv4Addr::BROADCAST, 80)));
    let mut driver = driver(1);
    for _ in 0..3 {
        let conn = driver.connect(&address).unwrap();
        assert!(driver.completion().is_none(), "completions come from a wait");
        driver.wait(Wait::Until(Timestamp::MAX)).unwrap();
        match driver.completion() {
            Some(Completion::ConnectFailed { conn: of, errno }) => {
                assert_eq!((of, errno), (conn, OsErrno::NETUNREACH.into()));
            }
            other => panic!("{other:?}"),
        }
    }
    let closed = driver.connect(&address).unwrap();
    driver.close(closed);
    driver.wait(Wait::Poll).unwrap();
    assert!(driver.completion().is_none());
}

/// Set for the process that counts its descriptors: it must run one test alone.
const ALONE: &str = "OPENLOOP_TEST_ALONE";

#[test]
fn no_descriptor_is_left_behind() {
    if std::env::var_os(ALONE).is_none() {
        let this = std::env::current_exe().unwrap();
        let name = "io::epoll::tests::no_descriptor_is_left_behind";
        let output =
            std::process::Command::new(this).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let open = Route::from(listener.local_addr().unwrap());
    let refused = Route::from(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap());
    let mut driver = driver(8);
    let with_driver = descriptors();
    assert!(with_driver >= before + 3);
    for round in 0..200 {
        let kept = driver.connect(&open).unwrap();
        driver.connect(&refused).unwrap();
        if round % 2 == 0 {
            let soon = driver.now().plus_nanos(MILLI);
            driver.wait(Wait::Until(soon)).unwrap();
        }
        driver.close(kept);
        drop(listener.accept().unwrap());
        let deadline = driver.now().plus_nanos(10_000 * MILLI);
        while !matches!(driver.completion(), Some(Completion::ConnectFailed { .. })) {
            assert!(driver.now() < deadline, "the refusal never came");
            driver.wait(Wait::Until(deadline)).unwrap();
        }
    }
    assert_eq!(descriptors(), with_driver);
    driver.connect(&open).unwrap();
    drop((driver, listener));
    assert_eq!(descriptors(), before);
}
