//! Chat completions from outside, for measurements that a closed loop cannot make: at a fixed rate, whatever the answers
//! take, or as many streams at once as asked for. Prints one line of JSON.
//!
//! At a rate, a call's latency counts from the instant it was due, so that a server which falls behind is not spared the
//! calls that would have been made meanwhile.

use std::{
    env::args,
    io::{self, Read},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

const USAGE: &str = "usage: drive ADDRESS [--key KEY] [--connections N] [--stream] [--act BEHAVIOUR] \
                     (--rate CALLS_A_SECOND --seconds N | --hold)";

/// Calls of the first part of a run are made and not counted: connections are opened, caches are cold.
const WARM_UP: f64 = 0.2;

#[derive(Debug)]
struct Order {
    address: String,
    key: String,
    connections: usize,
    stream: bool,
    act: Option<String>,
    rate: f64,
    seconds: f64,
    hold: bool,
}

/// When one call was due, and when what came.
struct Seen {
    first: Instant,
    end: Instant,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let order = match read(args().skip(1)) {
        Ok(order) => order,
        Err(message) => {
            eprintln!("drive: {message}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", if order.hold { hold(&order).await } else { at_a_rate(&order).await });
    if order.hold {
        // Streams go on until whoever started this has seen enough.
        let _ = tokio::task::spawn_blocking(|| io::stdin().read_to_end(&mut Vec::new())).await;
        std::process::exit(0);
    }
    ExitCode::SUCCESS
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Order, String> {
    let mut order = Order {
        address: args.next().ok_or("an address is needed")?,
        key: "sk-none".into(),
        connections: 16,
        stream: false,
        act: None,
        rate: 0.0,
        seconds: 0.0,
        hold: false,
    };
    while let Some(name) = args.next() {
        match name.as_str() {
            "--stream" => order.stream = true,
            "--hold" => (order.hold, order.stream) = (true, true),
            _ => {
                let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
                let number = || value.parse::<f64>().map_err(|_| format!("{value} is no number"));
                match name.as_str() {
                    "--key" => order.key = value,
                    "--act" => order.act = Some(value),
                    "--rate" => order.rate = number()?,
                    "--seconds" => order.seconds = number()?,
                    "--connections" => {
                        order.connections = value.parse().map_err(|_| format!("{value} is no number"))?;
                    }
                    _ => return Err(format!("{name} is unknown")),
                }
            }
        }
    }
    if order.connections == 0 || !(order.hold || order.rate > 0.0 && order.seconds > 0.0) {
        return Err("a rate and a time, or --hold, are needed, and at least one connection".into());
    }
    Ok(order)
}

fn request(order: &Order) -> Vec<u8> {
    let stream = if order.stream { r#","stream":true"# } else { "" };
    let body = format!(
        r#"{{"model":"qwen-plus","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"Who are you? Please answer in one short sentence."}}],"max_tokens":64{stream}}}"#
    );
    let act = order.act.as_ref().map_or_else(String::new, |it| format!("x-stand-in: {it}\r\n"));
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         {act}content-length: {}\r\n\r\n{body}",
        order.address,
        order.key,
        body.len()
    )
    .into_bytes()
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    Ok(io)
}

/// Makes one call; `begun` is told when the first byte of the body is there.
async fn call(io: &mut TcpStream, request: &[u8], begun: impl FnOnce()) -> io::Result<Seen> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    io.write_all(request).await?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    let mut head = None;
    let (mut first, mut begun) = (None, Some(begun));
    loop {
        let count = io.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        seen.extend_from_slice(&buffer[..count]);
        if head.is_none()
            && let Some(end) = seen.windows(4).position(|it| it == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
            if !text.starts_with("http/1.1 200") {
                return Err(broken());
            }
            let length = text.lines().find_map(|it| it.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            head = Some(length);
            seen.drain(..end + 4);
        }
        let Some(length) = head else { continue };
        if first.is_none() && !seen.is_empty() {
            first = Some(Instant::now());
            if let Some(begun) = begun.take() {
                begun();
            }
        }
        let whole = length.map_or_else(|| seen.ends_with(b"0\r\n\r\n"), |it| seen.len() >= it);
        if whole {
            let end = Instant::now();
            return Ok(Seen { first: first.unwrap_or(end), end });
        }
        if length.is_none() && seen.len() > 16 {
            // Only the end of a chunked body says anything.
            seen.drain(..seen.len() - 8);
        }
    }
}

async fn at_a_rate(order: &Order) -> String {
    let request: Arc<[u8]> = request(order).into();
    let start = Instant::now() + Duration::from_millis(50);
    let counted_from = start + Duration::from_secs_f64(order.seconds * WARM_UP);
    let (mut senders, mut lanes) = (Vec::new(), JoinSet::new());
    for _ in 0..order.connections {
        let (sender, due) = unbounded_channel();
        senders.push(sender);
        lanes.spawn(lane(order.address.clone(), Arc::clone(&request), due, counted_from));
    }
    let (rate, seconds) = (order.rate, order.seconds);
    // A thread of its own: a runtime's timers know milliseconds, calls come every few dozen microseconds.
    let pace = std::thread::spawn(move || pace(&senders, start, rate, seconds));
    let (mut whole, mut first, mut failed) = (Vec::new(), Vec::new(), 0);
    while let Some(lane) = lanes.join_next().await {
        let lane = lane.unwrap_or_default();
        whole.extend(lane.whole_us);
        first.extend(lane.first_us);
        failed += lane.failed;
    }
    let _ = pace.join();
    let part = |of: &mut Vec<u64>, part: f64| {
        of.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = (of.len() as f64 * part) as usize;
        of.get(index.min(of.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    format!(
        r#"{{"calls":{},"seconds":{},"p50_us":{},"p99_us":{},"p999_us":{},"first_p50_us":{},"first_p99_us":{},"failed":{failed}}}"#,
        whole.len(),
        seconds * (1.0 - WARM_UP),
        part(&mut whole, 0.5),
        part(&mut whole, 0.99),
        part(&mut whole, 0.999),
        part(&mut first, 0.5),
        part(&mut first, 0.99),
    )
}

fn pace(lanes: &[UnboundedSender<Instant>], start: Instant, rate: f64, seconds: f64) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls")]
    let calls = (rate * seconds) as usize;
    for n in 0..calls {
        let due = start + Duration::from_secs_f64(n as f64 / rate);
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
        }
        let _ = lanes[n % lanes.len()].send(due);
    }
}

/// What the calls of one connection came to.
#[derive(Default)]
struct Lane {
    whole_us: Vec<u64>,
    first_us: Vec<u64>,
    failed: u64,
}

async fn lane(address: String, request: Arc<[u8]>, mut due: UnboundedReceiver<Instant>, counted_from: Instant) -> Lane {
    let (mut lane, mut open) = (Lane::default(), None);
    let us = |it: Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
    while let Some(due) = due.recv().await {
        let made = async {
            let mut io = match open.take() {
                Some(io) => io,
                None => connect(&address).await?,
            };
            let seen = call(&mut io, &request, || ()).await?;
            open = Some(io);
            io::Result::Ok(seen)
        };
        match made.await {
            Ok(seen) if due >= counted_from => {
                lane.whole_us.push(us(seen.end - due));
                lane.first_us.push(us(seen.first - due));
            }
            Ok(_) => {}
            Err(_) => lane.failed += 1,
        }
    }
    lane
}

/// Begins as many streams as there are connections; they go on after this has returned.
async fn hold(order: &Order) -> String {
    let request: Arc<[u8]> = request(order).into();
    let (begun, mut told) = unbounded_channel();
    for n in 0..order.connections {
        let (address, request, begun) = (order.address.clone(), Arc::clone(&request), begun.clone());
        // A few at a time, so that no queue of connections overflows.
        let after = Duration::from_micros(n as u64 * 400);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let made = async {
                let mut io = connect(&address).await?;
                let tell = || {
                    let _ = begun.send(true);
                };
                call(&mut io, &request, tell).await
            };
            if made.await.is_err() {
                let _ = begun.send(false);
            }
        });
    }
    drop(begun);
    let (mut held, mut failed) = (0, 0);
    while held + failed < order.connections {
        match told.recv().await {
            Some(true) => held += 1,
            Some(false) => failed += 1,
            None => break,
        }
    }
    format!(r#"{{"held":{held},"failed":{failed}}}"#)
}
