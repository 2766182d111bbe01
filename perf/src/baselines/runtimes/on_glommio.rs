//! The closed loop on glommio.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::GlommioError;
use glommio::net::TcpStream;
use perf::baselines::{Exercise, REPLY_SIZE, REQUEST, Window};

use crate::{SharedWindow, ended, shared, whole};

pub(super) fn run(exercise: &Exercise) -> io::Result<Window> {
    let executor = glommio::LocalExecutorBuilder::default().make().map_err(other)?;
    let window = shared(exercise);
    executor.run(async {
        let tasks: Vec<_> = (0..exercise.connections)
            .map(|_| glommio::spawn_local(user(exercise.address, Rc::clone(&window))))
            .collect();
        for task in tasks {
            task.await?;
        }
        io::Result::Ok(())
    })?;
    whole(window)
}

async fn user(address: SocketAddr, window: SharedWindow) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await.map_err(other)?;
    stream.set_nodelay(true).map_err(other)?;
    let mut buffer = [0; 4096];
    loop {
        stream.write_all(REQUEST).await?;
        let mut received = 0;
        while received < REPLY_SIZE {
            received += match stream.read(&mut buffer).await? {
                0 => return Err(ended()),
                count => count,
            };
        }
        if !window.borrow_mut().answered(1) {
            return Ok(());
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands over the error")]
fn other(error: GlommioError<()>) -> io::Error {
    io::Error::other(error.to_string())
}
