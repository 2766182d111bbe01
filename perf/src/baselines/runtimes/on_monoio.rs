//! The closed loop on monoio.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use perf::baselines::{Exercise, REPLY_SIZE, REQUEST, Window};

use crate::{SharedWindow, ended, shared, whole};

pub(super) fn run(exercise: &Exercise) -> io::Result<Window> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().with_entries(1024).build()?;
    let window = shared(exercise);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..exercise.connections)
            .map(|_| monoio::spawn(user(exercise.address, Rc::clone(&window))))
            .collect();
        for task in tasks {
            task.await?;
        }
        io::Result::Ok(())
    })?;
    whole(window)
}

async fn user(address: SocketAddr, window: SharedWindow) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    loop {
        stream.write_all(REQUEST).await.0?;
        let mut received = 0;
        while received < REPLY_SIZE {
            let (result, lent) = stream.read(buffer).await;
            buffer = lent;
            received += match result? {
                0 => return Err(ended()),
                count => count,
            };
        }
        if !window.borrow_mut().answered(1) {
            return Ok(());
        }
    }
}
