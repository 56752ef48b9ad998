//! Connections that each carry one call after another, and an alarm, waited for together by one thread.
//!
//! A measurement pays for its generator with the same cores; so there is no runtime and no second thread, and a call
//! costs a write, a read and a share of a wait.

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

use crate::{
    message::Message,
    provider::{self, Provider},
};

pub(crate) struct Lanes {
    address: SocketAddr,
    request: Vec<u8>,
    epoll: OwnedFd,
    alarm: OwnedFd,
    lanes: Vec<Lane>,
    provider: Option<Provider>,
    events: Vec<Event>,
    buffer: Vec<u8>,
}

struct Lane {
    /// `None` after a failure, until the next call.
    io: Option<TcpStream>,
    answer: Message,
    /// A call is under way.
    busy: bool,
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
    /// The call of this lane has failed; the lane is free.
    Failed(usize),
}

/// Says that an event is the alarm's; a lane's is its number.
const ALARM: u64 = u64::MAX;

impl Lanes {
    /// No lane yet, and an alarm that is never due.
    pub(crate) fn new(address: SocketAddr, request: Vec<u8>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &alarm, EventData::new_u64(ALARM), EventFlags::IN)?;
        let events = Vec::with_capacity(256);
        Ok(Self {
            address,
            request,
            epoll,
            alarm,
            lanes: Vec::new(),
            provider: None,
            events,
            buffer: vec![0; 64 << 10],
        })
    }

    /// Lets the alarm go off after some time and then again and again.
    pub(crate) fn every(&mut self, after: Duration, interval: Duration) -> io::Result<()> {
        let spec = |it: Duration| Timespec { tv_sec: it.as_secs().cast_signed(), tv_nsec: it.subsec_nanos().into() };
        let when = Itimerspec { it_value: spec(after), it_interval: spec(interval) };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &when)?;
        Ok(())
    }

    /// Is the provider too, from now on.
    pub(crate) fn provide(&mut self, address: SocketAddr) -> io::Result<()> {
        self.provider = Some(Provider::listen(address, &self.epoll)?);
        Ok(())
    }

    /// Adds a lane, which is free; its number. It is connected with its first call.
    pub(crate) fn add(&mut self) -> usize {
        self.lanes.push(Lane { io: None, answer: Message::answer(), busy: false });
        self.lanes.len() - 1
    }

    /// Connects a lane, unless it is.
    pub(crate) fn connect(&mut self, lane: usize) -> io::Result<()> {
        if self.lanes[lane].io.is_none() {
            let io = TcpStream::connect(self.address)?;
            io.set_nodelay(true)?;
            io.set_nonblocking(true)?;
            epoll::add(&self.epoll, &io, EventData::new_u64(lane as u64), EventFlags::IN)?;
            self.lanes[lane].io = Some(io);
        }
        Ok(())
    }

    /// Makes a call on a free lane. With an error the lane stays free.
    pub(crate) fn send(&mut self, lane: usize) -> io::Result<()> {
        self.connect(lane)?;
        let Self { lanes, request, .. } = self;
        let Lane { io, answer, busy } = &mut lanes[lane];
        // A request is small beside the buffer of a socket on which nothing else is under way.
        let sent = io.as_ref().map_or(Ok(0), |mut it| it.write(request));
        if !sent.as_ref().is_ok_and(|count| *count == request.len()) {
            *io = None;
            return Err(sent.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
        }
        answer.again();
        *busy = true;
        Ok(())
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
                    // Unread, it would wake us again at once.
                    let _ = rustix::io::read(&self.alarm, &mut [0; 8]);
                    news.push(News::Alarm);
                }
                provider::LISTENER => {
                    self.provider.as_mut().map_or(Ok(()), |it| it.accept(&self.epoll))?;
                }
                of if of & provider::CALLED != 0 => {
                    let connection = usize::try_from(of & !provider::CALLED).unwrap_or(usize::MAX);
                    self.provider.iter_mut().for_each(|it| it.serve(connection, &mut self.buffer));
                }
                lane => self.read(usize::try_from(lane).unwrap_or(usize::MAX), news),
            }
        }
        self.events.clear();
        Ok(())
    }

    fn read(&mut self, number: usize, news: &mut Vec<News>) {
        let Self { lanes, buffer, .. } = self;
        let Lane { io, answer, busy } = &mut lanes[number];
        let Some(open) = io else { return };
        let piece = match open.read(buffer) {
            Ok(count) if count > 0 && *busy => answer.take(&buffer[..count]).ok(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => None,
        };
        let now = Instant::now();
        let Some(piece) = piece else {
            *io = None;
            // A connection whose end was read while nobody used it has failed no call.
            if std::mem::take(busy) {
                news.push(News::Failed(number));
            }
            return;
        };
        if piece.begun {
            news.push(News::Begun(number, now));
        }
        if piece.whole {
            *busy = false;
            news.push(News::Whole(number, now));
        }
    }
}
