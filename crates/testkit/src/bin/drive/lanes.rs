//! Connections that each carry one call after another, and an alarm, waited for together by one thread.
//!
//! A measurement pays for its generator with the same cores; so there is no runtime and no second thread, and a call
//! costs four system calls and a share of two more.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};

use crate::answer::Answer;

pub(crate) struct Lanes {
    address: SocketAddr,
    request: Vec<u8>,
    epoll: OwnedFd,
    alarm: OwnedFd,
    open: Vec<Lane>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

struct Lane {
    io: TcpStream,
    answer: Answer,
}

/// What has happened.
#[derive(Debug)]
pub(crate) enum News {
    /// The alarm went off, once or several times.
    Alarm,
    /// The first byte of an answer's body has come on this lane.
    Begun(usize, Instant),
    /// The last one has; the lane is free.
    Whole(usize, Instant),
    /// The call of this lane has failed, and there is a new connection in its place.
    Failed(usize),
}

/// Says that an event is the alarm's; a lane's is its number.
const ALARM: u64 = u64::MAX;

impl Lanes {
    /// No connection yet, and an alarm that is never due.
    pub(crate) fn new(address: SocketAddr, request: Vec<u8>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &alarm, EventData::new_u64(ALARM), EventFlags::IN)?;
        let events = Vec::with_capacity(256);
        Ok(Self { address, request, epoll, alarm, open: Vec::new(), events, buffer: vec![0; 64 << 10] })
    }

    /// Lets the alarm go off after some time and then again and again.
    pub(crate) fn every(&mut self, after: Duration, interval: Duration) -> io::Result<()> {
        let spec = |it: Duration| Timespec { tv_sec: it.as_secs().cast_signed(), tv_nsec: it.subsec_nanos().into() };
        let when = Itimerspec { it_value: spec(after), it_interval: spec(interval) };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &when)?;
        Ok(())
    }

    /// Opens one more lane; its number.
    pub(crate) fn open(&mut self) -> io::Result<usize> {
        let number = self.open.len();
        let io = self.connect(number)?;
        self.open.push(Lane { io, answer: Answer::default() });
        Ok(number)
    }

    fn connect(&self, lane: usize) -> io::Result<TcpStream> {
        let io = TcpStream::connect(self.address)?;
        io.set_nodelay(true)?;
        io.set_nonblocking(true)?;
        epoll::add(&self.epoll, &io, EventData::new_u64(lane as u64), EventFlags::IN)?;
        Ok(io)
    }

    /// Makes a call on a free lane.
    pub(crate) fn send(&mut self, lane: usize) -> io::Result<()> {
        let Self { open, request, .. } = self;
        // A request is small beside the buffer of a socket on which nothing else is under way. A connection that the
        // server has left meanwhile says so when its answer is read.
        match open[lane].io.write(request) {
            Ok(count) if count < request.len() => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until something happens, and adds it to `news`.
    pub(crate) fn wait(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), None) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            waited => waited?,
        };
        for n in 0..self.events.len() {
            match self.events[n].data.u64() {
                ALARM => {
                    // Until it has been read it does not go off again.
                    let _ = rustix::io::read(&self.alarm, &mut [0; 8]);
                    news.push(News::Alarm);
                }
                lane => self.read(usize::try_from(lane).unwrap_or(usize::MAX), news)?,
            }
        }
        self.events.clear();
        Ok(())
    }

    fn read(&mut self, number: usize, news: &mut Vec<News>) -> io::Result<()> {
        let lane = &mut self.open[number];
        let piece = match lane.io.read(&mut self.buffer) {
            Ok(count) if count > 0 => lane.answer.take(&self.buffer[..count]).ok(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            _ => None,
        };
        let now = Instant::now();
        let Some(piece) = piece else {
            let io = self.connect(number)?;
            self.open[number] = Lane { io, answer: Answer::default() };
            news.push(News::Failed(number));
            return Ok(());
        };
        if piece.begun {
            news.push(News::Begun(number, now));
        }
        if piece.whole {
            lane.answer.again();
            news.push(News::Whole(number, now));
        }
        Ok(())
    }
}
