//! Chat completions from outside, for measurements that a closed loop cannot make: at a fixed rate, whatever the answers
//! take, or as many streams at once as asked for. Prints one line of JSON.

mod at_a_rate;
mod hold;
mod lanes;
mod message;
mod provider;

use std::{
    env::args,
    net::{SocketAddr, ToSocketAddrs},
    process::ExitCode,
};

const USAGE: &str = "usage: drive ADDRESS [--key KEY] [--connections N] [--stream] [--act BEHAVIOUR] \
                     (--rate CALLS_A_SECOND --seconds N [--provide ADDRESS] | --hold)";

/// What to do.
#[derive(Debug)]
pub(crate) struct Order {
    address: SocketAddr,
    key: String,
    connections: usize,
    stream: bool,
    act: Option<String>,
    rate: f64,
    seconds: f64,
    hold: bool,
    /// Where this is the provider behind what it calls.
    provide: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let order = match read(args().skip(1)) {
        Ok(order) => order,
        Err(message) => {
            eprintln!("drive: {message}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let done = if order.hold { hold::hold(&order) } else { at_a_rate::at_a_rate(&order).map(|it| println!("{it}")) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drive: {}: {error}", order.address);
            ExitCode::FAILURE
        }
    }
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Order, String> {
    let address = args.next().ok_or("an address is needed")?;
    let found = address.to_socket_addrs().ok().and_then(|mut it| it.next());
    let mut order = Order {
        address: found.ok_or_else(|| format!("{address} is no address with a port"))?,
        key: "sk-none".into(),
        connections: 16,
        stream: false,
        act: None,
        rate: 0.0,
        seconds: 0.0,
        hold: false,
        provide: None,
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
                    "--provide" => {
                        order.provide = Some(value.parse().map_err(|_| format!("{value} is no address with a port"))?);
                    }
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
    if order.provide.is_some() && (order.stream || order.act.is_some() || order.connections > 100) {
        return Err(
            "as a provider this answers whole, says always the same, and takes a hundred connections at once".into()
        );
    }
    if order.connections == 0 || !(order.hold || order.rate > 0.0 && order.seconds > 0.0) {
        return Err("a rate and a time, or --hold, are needed, and at least one connection".into());
    }
    Ok(order)
}

impl Order {
    /// The call, as it is sent each time.
    fn request(&self) -> Vec<u8> {
        let stream = if self.stream { r#","stream":true"# } else { "" };
        let body = format!(
            r#"{{"model":"qwen-plus","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"Who are you? Please answer in one short sentence."}}],"max_tokens":64{stream}}}"#
        );
        let act = self.act.as_ref().map_or_else(String::new, |it| format!("x-stand-in: {it}\r\n"));
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             {act}content-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        )
        .into_bytes()
    }
}
