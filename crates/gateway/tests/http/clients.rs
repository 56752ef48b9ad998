//! Clients that are slow to send or slow to read.

use std::time::Duration;

use gateway::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::*;

#[tokio::test]
async fn a_body_that_trickles_in_is_cut_off() {
    let settings = Settings { client_timeout: Duration::from_millis(100), ..Settings::default() };
    let house = House::with(settings, |_| {}).await;
    let mut io = TcpStream::connect(house.addr).await.unwrap();
    let length = 2000;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {SEARCH}\r\ncontent-length: {length}\r\n\r\n"
    );
    io.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = io.into_split();
    let mut answer = vec![0; 4096];
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    let mut sent = 0;
    let count = loop {
        tokio::select! {
            count = reader.read(&mut answer) => break count.unwrap(),
            _ = pace.tick(), if sent < length => {
                // Never silent for long.
                writer.write_all(b" ").await.unwrap();
                sent += 1;
            }
        }
    };
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.starts_with("HTTP/1.1 400 ") && sent < length, "{sent} bytes: {answer}");
}

#[tokio::test]
async fn a_gateway_that_stops_lets_its_answers_be_read_to_their_end() {
    let house = House::with(Settings::default(), |contents| {
        let many = (0..60_000).map(|it| model(&format!("a-name-that-takes-some-room-{it}"), limits(60, 1000)));
        contents.models.extend(many);
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut io = socket.connect(house.addr).await.unwrap();
    io.write_all(format!("GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {DEFAULT}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 1000];
    io.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    assert_eq!(house.gateway.running(), 0, "all of it is written as far as the gateway goes");
    house.shutdown.cancel();
    while TcpStream::connect(house.addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
    io.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"]}"), "{} bytes", answer.len());
    house.served.await.unwrap().unwrap();
}
