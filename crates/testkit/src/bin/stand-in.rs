//! The stand-in provider as a process of its own, for measurements and for tests in other languages.
//! Prints where it listens, then serves until it is ended.

use std::{env::args, net::SocketAddr, num::NonZero, process::ExitCode};

use tokio::runtime::Builder;

use testkit::provider::{Provider, ProviderSettings, Speed};

const USAGE: &str = "usage: stand-in [--listen 127.0.0.1:0] [--real | --output TOKENS] [--seed N] [--log CALLS] [--credential SECRET] \
     [--threads N]";

fn main() -> ExitCode {
    let (settings, threads) = match read(args().skip(1)) {
        Ok(read) => read,
        Err(message) => {
            eprintln!("stand-in: {message}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let mut runtime = match threads.map(NonZero::get) {
        // Without a second thread there is nobody to share work with, nor anything to pay for it.
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        runtime.worker_threads(threads.get());
    }
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(settings)),
        Err(error) => {
            eprintln!("stand-in: cannot start threads: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: ProviderSettings) -> ExitCode {
    let listen = settings.listen;
    match Provider::start(settings).await {
        Ok(provider) => {
            println!("the stand-in provider listens on http://{}", provider.addr);
            std::future::pending::<ExitCode>().await
        }
        Err(error) => {
            eprintln!("stand-in: cannot listen on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(mut args: impl Iterator<Item = String>) -> Result<(ProviderSettings, Option<NonZero<usize>>), String> {
    let (mut settings, mut threads) = (ProviderSettings::instant(), None);
    while let Some(name) = args.next() {
        if name == "--real" {
            settings.speed = Speed::Real;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{value} is no number"));
        match name.as_str() {
            "--listen" => {
                settings.listen =
                    value.parse::<SocketAddr>().map_err(|_| format!("{value} is no address with a port"))?;
            }
            "--output" => settings.speed = Speed::Instant { output: number()? },
            "--seed" => settings.seed = number()?,
            "--log" => {
                settings.log_capacity = usize::try_from(number()?).map_err(|_| format!("{value} is too large"))?;
            }
            "--threads" => threads = Some(value.parse().map_err(|_| format!("{value} is no number of threads"))?),
            "--credential" => settings.credential = Some(value),
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok((settings, threads))
}
