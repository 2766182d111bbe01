//! Whether sending without a copy is worth while on a link: the kernel's own word on it, and the sender's processor time.
//!
//! Run the sink at the far end, or nothing for loopback, then the sender, in turns of plain sends and of `SEND_ZC` from a
//! registered buffer, of 1 MiB each:
//!
//! ```text
//! cargo run --release -p uring --example zerocopy -- sink 10.0.0.2:9000
//! cargo run --release -p uring --example zerocopy -- send 10.0.0.2:9000 [rounds]
//! ```
//!
//! The kernel says of each `SEND_ZC` whether it copied after all (`IORING_NOTIF_USAGE_ZC_COPIED`). On loopback and on a
//! pair of veth interfaces it always does.

#![expect(clippy::print_stdout, reason = "a measurement for people to read")]

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, cqueue, opcode, types};
use rustix::time::{ClockId, clock_gettime};

const PIECE: usize = 1 << 20;
const PIECES: u32 = 1_000;
/// `IORING_SEND_ZC_REPORT_USAGE` and `IORING_NOTIF_USAGE_ZC_COPIED`.
const REPORT_USAGE: u16 = 1 << 3;
const USAGE_COPIED: u32 = 1 << 31;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.get(2).map_or(5, |text| text.parse().expect("a number of rounds"));
    match words.first().map(String::as_str) {
        Some("sink") => sink(&TcpListener::bind(&words[1]).expect("an address of this host")),
        Some("send") => compare(&words[1], rounds),
        _ => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            std::thread::spawn(move || sink(&listener));
            compare(&address, rounds);
        }
    }
}

/// Takes what comes and throws it away, on one connection after another.
fn sink(listener: &TcpListener) {
    let mut bytes = vec![0; PIECE];
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

fn compare(address: &str, rounds: usize) {
    println!(
        "{:>5} {:>14} {:>14} {:>7} {:>18}",
        "round", "send us/MiB", "zc us/MiB", "zc/send", "copied after all"
    );
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let (plain, _) = run(address, false);
        let (zero_copy, copied) = run(address, true);
        ratios.push(zero_copy / plain);
        println!(
            "{round:>5} {plain:>14.1} {zero_copy:>14.1} {:>7.3} {:>18}",
            zero_copy / plain,
            format!("{copied} of {PIECES}")
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of zc/send: {:.3}", ratios[ratios.len() / 2]);
}

/// Microseconds of this thread for each piece, and how many of them the kernel copied after all.
fn run(address: &str, is_zero_copy: bool) -> (f64, u32) {
    let stream = TcpStream::connect(address).expect("the sink listens");
    let bytes = vec![b'x'; PIECE];
    let mut ring = IoUring::new(8).expect("a ring");
    let buffers = [libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: PIECE }];
    // SAFETY: the memory outlives the ring's use of it: every operation is waited for below.
    unsafe { ring.submitter().register_buffers(&buffers) }.expect("a registered buffer");
    let (mut copied, before) = (0, processor_time());
    for _ in 0..PIECES {
        let descriptor = types::Fd(stream.as_raw_fd());
        let length = u32::try_from(PIECE).expect("small");
        let entry = if is_zero_copy {
            opcode::SendZc::new(descriptor, bytes.as_ptr(), length)
                .buf_index(Some(0))
                .flags(libc::MSG_WAITALL)
                .zc_flags(REPORT_USAGE)
                .build()
        } else {
            opcode::Send::new(descriptor, bytes.as_ptr(), length).flags(libc::MSG_WAITALL).build()
        };
        // SAFETY: buffer and descriptor live until this send, and the notification behind it, have come.
        unsafe { ring.submission().push(&entry) }.expect("an empty queue");
        let mut is_done = false;
        while !is_done {
            ring.submit_and_wait(1).expect("it goes on");
            for completion in ring.completion() {
                if cqueue::notif(completion.flags()) {
                    copied += u32::from(completion.result().cast_unsigned() & USAGE_COPIED != 0);
                    is_done = true;
                } else {
                    assert_eq!(completion.result(), i32::try_from(PIECE).expect("small"), "a whole send");
                    is_done = !cqueue::more(completion.flags());
                }
            }
        }
    }
    ((processor_time() - before) / 1e3 / f64::from(PIECES), copied)
}

/// Processor time of this thread, in nanoseconds.
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
