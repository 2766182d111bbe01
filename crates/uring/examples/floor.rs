//! What the driver costs above the floor: a closed loop over 64 connections on one core, once over the driver,
//! once as 64 bare sends and 64 bare receives, in turns.
//!
//! Run: `cargo run --release -p uring --example floor [core [rounds [connections]]]`. Server and client share the
//! core; what is compared is the processor time of the client's thread for each request. Medians of the rounds.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a measurement for people to read")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::epoll;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use uring::{Completion, Driver, Limits, Wait};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: openloop\r\n\r\n";
const REPLY: &[u8; 107] = &[b'x'; 107];
const REQUESTS: u64 = 200_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let core = arguments.next().unwrap_or(1);
    let rounds = arguments.next().unwrap_or(5);
    let connections = arguments.next().unwrap_or(64);
    pin(core);
    let address = serve();
    let mut ratios = Vec::new();
    println!("{:>5} {:>10} {:>10} {:>10} {:>7}", "round", "floor ns", "ring ns", "poll ns", "ratio");
    for round in 0..rounds {
        let floor = floor(address, connections);
        let ring = ring(address, connections, false);
        let polled = ring_polled(address, connections);
        ratios.push((ring / floor, polled / floor));
        println!("{round:>5} {floor:>10.0} {ring:>10.0} {polled:>10.0} {:>7.3}", ring / floor);
    }
    println!(
        "median ratio: waiting {:.3}, polling {:.3}",
        median(&ratios, |row| row.0),
        median(&ratios, |row| row.1)
    );
}

fn median(rows: &[(f64, f64)], column: impl Fn(&(f64, f64)) -> f64) -> f64 {
    let mut values: Vec<_> = rows.iter().map(column).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("the core exists");
}

/// Processor time of this thread, in nanoseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Answers everything that comes with 107 bytes, over epoll.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        let mut streams: Vec<Option<TcpStream>> = Vec::new();
        epoll::add(&epoll, listener.as_fd(), epoll::EventData::new_u64(u64::MAX), epoll::EventFlags::IN)
            .expect("epoll");
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None).expect("epoll");
            for event in &events {
                let number = event.data.u64();
                if number == u64::MAX {
                    let (stream, _) = listener.accept().expect("a connection");
                    stream.set_nodelay(true).expect("TCP_NODELAY");
                    let data = epoll::EventData::new_u64(streams.len() as u64);
                    epoll::add(&epoll, &stream, data, epoll::EventFlags::IN).expect("epoll");
                    streams.push(Some(stream));
                    continue;
                }
                let place = &mut streams[usize::try_from(number).expect("a place")];
                let mut bytes = [0; 4096];
                let is_over = place.as_mut().is_some_and(|stream| {
                    !matches!(stream.read(&mut bytes), Ok(1..)) || stream.write_all(REPLY).is_err()
                });
                if is_over {
                    *place = None;
                }
            }
        }
    });
    address
}

/// All requests out, then all replies in, by blocking system calls: nothing can do with less.
fn floor(address: SocketAddr, connections: usize) -> f64 {
    let mut streams: Vec<_> =
        (0..connections).map(|_| TcpStream::connect(address).expect("connected")).collect();
    for stream in &streams {
        stream.set_nodelay(true).expect("TCP_NODELAY");
    }
    let mut bytes = [0; 4096];
    let mut done = 0;
    let start = processor_time();
    while done < REQUESTS {
        for stream in &mut streams {
            stream.write_all(REQUEST).expect("sent");
        }
        for stream in &mut streams {
            let count = stream.read(&mut bytes).expect("received");
            assert_eq!(count, REPLY.len());
            done += 1;
        }
    }
    (processor_time() - start) / done as f64
}

fn ring_polled(address: SocketAddr, connections: usize) -> f64 {
    ring(address, connections, true)
}

/// The same over the driver: each reply is answered with the next request. When polling, the core is given up in
/// between, for the server shares it.
fn ring(address: SocketAddr, connections: usize, is_polling: bool) -> f64 {
    let count = u32::try_from(connections).expect("few");
    let mut driver = Driver::new(Limits { connections: count, buffer_size: 4096, buffer_count: 2 * count })
        .expect("this machine offers a ring");
    let request = driver.prepare(Box::from(REQUEST));
    for _ in 0..connections {
        driver.connect(&address).expect("a socket");
    }
    let mut conns = Vec::new();
    while conns.len() < connections {
        driver.wait(Wait::Until(uring::now().plus_nanos(1_000_000_000))).expect("the ring works");
        while let Some(completion) = driver.completion() {
            let Completion::Connected { conn } = completion else { panic!("{completion:?}") };
            conns.push(conn);
        }
    }
    for conn in conns {
        driver.send(conn, request);
    }
    let mut done = 0;
    let enters = driver.enter_count();
    let start = processor_time();
    while done < REQUESTS {
        if is_polling {
            driver.wait(Wait::Poll).expect("the ring works");
            rustix::thread::sched_yield();
        } else {
            driver.wait(Wait::Until(uring::now().plus_nanos(1_000_000_000))).expect("the ring works");
        }
        while let Some(completion) = driver.completion() {
            let Completion::Received { conn, lent } = completion else { panic!("{completion:?}") };
            assert_eq!(lent.len as usize, REPLY.len());
            driver.release(lent);
            driver.send(conn, request);
            done += 1;
        }
    }
    let cost = (processor_time() - start) / done as f64;
    let batch = done as f64 / (driver.enter_count() - enters) as f64;
    print!("[{batch:.1} per call] ");
    cost
}
