//! A provider on the generator's own thread, for measurements of what lies between the two: two cores are enough for one
//! thread on either side of a gateway's.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::message::Message;

/// What is answered to every call, in the words of the OpenAI dialect.
const BODY: &str = r#"{"id":"chatcmpl-drive","object":"chat.completion","created":1700000000,"model":"qwen-plus","choices":[{"index":0,"message":{"role":"assistant","content":"I am a provider that always says the same, in a sentence of some twenty tokens."},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":31,"completion_tokens":20,"total_tokens":51}}"#;

/// Whose event it is: this says that it is a connection's, and the lower bits which.
pub(crate) const CALLED: u64 = 1 << 62;
/// And this that somebody connects.
pub(crate) const LISTENER: u64 = 1 << 61;

pub(crate) struct Provider {
    listener: TcpListener,
    answer: Vec<u8>,
    open: Vec<Option<(TcpStream, Message)>>,
}

impl Provider {
    pub(crate) fn listen(address: SocketAddr, epoll: &OwnedFd) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        epoll::add(epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let length = BODY.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: drive\r\ncontent-length: {length}\r\n\r\n{BODY}"
        );
        Ok(Self { listener, answer: answer.into_bytes(), open: Vec::new() })
    }

    /// Takes everybody in who waits to be.
    pub(crate) fn accept(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        loop {
            let io = match self.listener.accept() {
                Ok((io, _)) => io,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Somebody who has left already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            io.set_nodelay(true)?;
            io.set_nonblocking(true)?;
            epoll::add(epoll, &io, EventData::new_u64(CALLED | self.open.len() as u64), EventFlags::IN)?;
            self.open.push(Some((io, Message::request())));
        }
    }

    /// Reads what a connection has sent, and answers once the call is whole. A connection on which it understands nothing it
    /// closes: the gateway then says so to the generator.
    pub(crate) fn serve(&mut self, connection: usize, buffer: &mut [u8]) {
        let Some((io, call)) = self.open[connection].as_mut() else { return };
        let piece = match io.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Ok(count) if count > 0 => call.take(&buffer[..count]).ok(),
            _ => None,
        };
        let done = piece.is_some_and(|it| {
            it.whole && {
                call.again();
                io.write(&self.answer).is_ok_and(|count| count == self.answer.len())
            }
        });
        if piece.is_none_or(|it| it.whole && !done) {
            self.open[connection] = None;
        }
    }
}
