//! The console over seeded figures, to look at pages without gateway and traffic:
//! `cargo run -p app --features ssr --example console -- 3100`.

#[path = "../tests/common/mod.rs"]
mod common;

use control::Passwords;
use std::net::SocketAddr;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let port: u16 = words.next().map_or(Ok(3100), |it| it.parse())?;
    let folder = tempfile::tempdir()?;
    let router = match words.next().as_deref() {
        Some("empty") => {
            let (control, router) = common::empty(folder.path(), Passwords::default()).await;
            if let Some(token) = control::setup::begin(&control).await? {
                println!("set-up token: {}", token.expose());
            }
            router
        }
        _ => {
            println!("sign in as {} with {:?}", common::OWNER, common::PASSWORD);
            common::seeded(folder.path(), Passwords::default()).await.router
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
