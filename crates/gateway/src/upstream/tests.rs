use std::io::Write as _;

use http::uri::Authority;
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

async fn listen(host: &str, tls: bool) -> (TcpListener, Origin) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Origin { tls, authority: Authority::try_from(format!("{host}:{port}")).unwrap() })
}

fn call(body: impl Into<Bytes>) -> Outgoing {
    let body = Pieces::whole(body.into());
    let head = format!("POST /v1 HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.length());
    Outgoing { head: head.into_bytes(), body }
}

async fn read_to_end(mut body: Incoming) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(data) = std::future::poll_fn(|cx| body.poll_data(cx)).await {
        all.extend_from_slice(&data?);
    }
    Ok(all)
}

/// Reads one request; the length of its body.
async fn request(io: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        if let Some(end) = memchr::memmem::find(&seen, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).into_owned();
            let length: usize = head.rsplit_once("content-length: ").unwrap().1.parse().unwrap();
            let mut left = end + 4 + length - seen.len();
            while left > 0 {
                left -= io.read(&mut buffer[..left.min(16 << 10)]).await?;
            }
            return Ok(length);
        }
        match io.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A server with a certificate for localhost, and clients that trust it.
fn certified() -> (TlsAcceptor, HttpsConnector<HttpConnector>) {
    let certificate = || include_bytes!("fixtures/localhost.der").to_vec().into();
    let key = PrivatePkcs8KeyDer::from(include_bytes!("fixtures/localhost-key.der").to_vec());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    (acceptor, connector.wrap_connector(http))
}

#[tokio::test]
async fn a_connection_with_tls_serves_one_call_after_another() {
    let (acceptor, trusting) = certified();
    let (listener, origin) = listen("localhost", true).await;
    let (accepted, mut connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut io) = acceptor.accept(tcp).await else { continue };
            accepted.send(()).unwrap();
            while let Ok(length) = request(&mut io).await {
                let text = length.to_string();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len());
                io.write_all(answer.as_bytes()).await.unwrap();
                io.flush().await.unwrap();
            }
        }
    });
    let pool = Arc::new(Pool::with(trusting, TIMEOUT));
    for length in [0, 10, 3 << 20, 10] {
        let (head, body) = pool.send(&origin, call(vec![b'x'; length])).await.unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(read_to_end(body).await.unwrap(), length.to_string().as_bytes());
    }
    assert!(connections.try_recv().is_ok() && connections.try_recv().is_err(), "one connection");
    // A certificate that nobody vouches for is refused.
    drop(pool);
    let strict = Arc::new(Pool::new(TIMEOUT));
    assert!(matches!(strict.send(&origin, call("")).await, Err(Unreachable::Connect(_))));
}

#[tokio::test]
async fn a_session_that_ended_with_its_answer_serves_no_other_call() {
    let (acceptor, trusting) = certified();
    let (listener, origin) = listen("localhost", true).await;
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        for _ in 0..2 {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut io = acceptor.accept(tcp).await.unwrap();
            request(&mut io).await.unwrap();
            // The answer and the session's end go out in one write, and the connection below stays open.
            let session = io.get_mut().1;
            session.writer().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").unwrap();
            session.send_close_notify();
            io.flush().await.unwrap();
            open.push(io);
        }
        open
    });
    let pool = Arc::new(Pool::with(trusting, TIMEOUT));
    for _ in 0..2 {
        let (_, body) = pool.send(&origin, call("one")).await.unwrap();
        assert_eq!(read_to_end(body).await.unwrap(), b"a");
    }
    drop(server.await.unwrap());
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_session_and_breaks_off_without() {
    let (acceptor, trusting) = certified();
    let (listener, origin) = listen("localhost", true).await;
    tokio::spawn(async move {
        for ended in [true, false] {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut io = acceptor.accept(tcp).await.unwrap();
            request(&mut io).await.unwrap();
            io.write_all(b"HTTP/1.1 200 OK\r\n\r\nabc").await.unwrap();
            io.flush().await.unwrap();
            if ended {
                io.shutdown().await.unwrap();
            }
        }
    });
    let pool = Arc::new(Pool::with(trusting, TIMEOUT));
    let (_, body) = pool.send(&origin, call("")).await.unwrap();
    assert_eq!(read_to_end(body).await.unwrap(), b"abc");
    let (_, body) = pool.send(&origin, call("")).await.unwrap();
    assert!(read_to_end(body).await.is_err(), "anybody could have cut it off");
}

#[tokio::test]
async fn an_answer_may_come_before_all_of_the_body_has_gone() {
    let (listener, origin) = listen("127.0.0.1", false).await;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut some = [0; 100];
        io.read_exact(&mut some).await.unwrap();
        io.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
        // It never reads the rest.
        (io, listener)
    });
    let pool = Arc::new(Pool::new(TIMEOUT));
    let (head, body) = pool.send(&origin, call(vec![b'x'; 64 << 20])).await.unwrap();
    assert_eq!((head.status.as_u16(), read_to_end(body).await.unwrap()), (413, b"no".to_vec()));
    assert!(pool.take(&origin).unwrap().1.is_none(), "half a request lies in that connection");
    server.await.unwrap();
}

#[tokio::test]
async fn the_rest_of_a_body_goes_on_while_its_answer_comes() {
    let (listener, origin) = listen("127.0.0.1", false).await;
    let length = 64 << 20;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        let mut some = [0; 100];
        io.read_exact(&mut some).await.unwrap();
        io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na").await.unwrap();
        // The rest of the answer follows the rest of the request.
        let head = memchr::memmem::find(&some, b"\r\n\r\n").unwrap() + 4;
        let mut left = length + head - some.len();
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            match io.read(&mut buffer).await.unwrap() {
                0 => return left,
                count => left -= count,
            }
        }
        io.write_all(b"bc").await.unwrap();
        left
    });
    let pool = Arc::new(Pool::new(TIMEOUT));
    let (head, body) = pool.send(&origin, call(vec![b'x'; length])).await.unwrap();
    assert_eq!(head.status, 200);
    let read = tokio::time::timeout(TIMEOUT, read_to_end(body)).await.expect("the request goes on");
    assert_eq!((read.unwrap(), server.await.unwrap()), (b"abc".to_vec(), 0));
    assert!(pool.take(&origin).unwrap().1.is_none(), "a connection whose order was upset is not used again");
}

#[tokio::test]
async fn a_dead_connection_is_replaced_once_and_an_asked_one_never() {
    let (listener, origin) = listen("127.0.0.1", false).await;
    let (asked, mut requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut io, _) = listener.accept().await.unwrap();
            request(&mut io).await.unwrap();
            asked.send(connection).unwrap();
            if connection < 2 {
                io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").await.unwrap();
            }
            if connection == 1 {
                // Takes the next request too, and closes without a word.
                request(&mut io).await.unwrap();
                asked.send(connection).unwrap();
            }
        }
    });
    let pool = Arc::new(Pool::new(TIMEOUT));
    let (_, body) = pool.send(&origin, call("one")).await.unwrap();
    read_to_end(body).await.unwrap();
    assert_eq!(requests.recv().await, Some(0));
    // Closed by the provider after its answer: seen before or while the next call is written.
    let (_, body) = pool.send(&origin, call("two")).await.unwrap();
    read_to_end(body).await.unwrap();
    assert_eq!(requests.recv().await, Some(1));
    assert!(matches!(pool.send(&origin, call("three")).await, Err(Unreachable::Lost(_))));
    assert_eq!((requests.recv().await, requests.try_recv().ok()), (Some(1), None), "asked once");
}

#[tokio::test]
async fn what_lies_idle_for_too_long_is_closed() {
    let (listener, origin) = listen("127.0.0.1", false).await;
    let server = tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        request(&mut io).await.unwrap();
        io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        io.read(&mut [0; 10]).await.unwrap()
    });
    let pool = Arc::new(Pool::new(TIMEOUT));
    pool.send(&origin, call("one")).await.unwrap();
    for _ in 0..600 {
        pool.tick();
    }
    assert_eq!(server.await.unwrap(), 0, "the provider sees the end");
}

#[tokio::test]
async fn chunks_that_came_together_go_on_together() {
    for (text, pieces, whole) in [
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", vec!["abcde"], true),
        ("3\r\nabc\r\n2\r\nde\r\nno chunk", vec!["abcde"], false),
    ] {
        let (listener, origin) = listen("127.0.0.1", false).await;
        tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.unwrap();
            request(&mut io).await.unwrap();
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            io.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
            request(&mut io).await
        });
        let pool = Arc::new(Pool::new(TIMEOUT));
        let (_, mut body) = pool.send(&origin, call("")).await.unwrap();
        let (mut seen, mut ended_well) = (Vec::new(), true);
        while let Some(data) = std::future::poll_fn(|cx| body.poll_data(cx)).await {
            match data {
                Ok(data) => seen.push(String::from_utf8(data.to_vec()).unwrap()),
                Err(_) => {
                    ended_well = false;
                    break;
                }
            }
        }
        assert_eq!((seen, ended_well), (pieces.into_iter().map(String::from).collect(), whole));
        assert_eq!(
            pool.take(&origin).unwrap().1.is_some(),
            whole,
            "only a connection that was read to the end is kept"
        );
    }
}
