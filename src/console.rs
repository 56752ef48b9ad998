//! Mounts the console: health, sessions, protection against forged requests, security headers. Pages are `app`'s.

use std::{net::SocketAddr, time::Duration};

use app::ssr::ConsoleState;
use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use control::{Control, Sessions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    csrf::CsrfLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use tower_sessions::{
    Expiry, SessionManagerLayer,
    cookie::{SameSite, time::Duration as SessionDuration},
};

use crate::metrics::Scrape;

/// The largest form: an editor with a few thousand models.
const LARGEST_FORM: usize = 2 * 1024 * 1024;

/// Someone who does nothing for so long has to sign in again, counted from the first page of the last day of use.
const SESSION_DAYS: i64 = 14;

/// The whole console as a service.
pub fn router(state: ConsoleState, sessions: Sessions, scrape: Scrape) -> Router {
    let secure = state.settings.secure_cookies;
    let control = state.control.clone();
    let sessions = SessionManagerLayer::new(sessions)
        .with_name("sluice")
        .with_http_only(true)
        .with_secure(secure)
        // Strict would make a link from a chat arrive signed out.
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnInactivity(SessionDuration::days(SESSION_DAYS)));
    // The last layer is the outermost.
    let pages = app::ssr::router(state)
        .layer(sessions)
        .layer(RequestBodyLimitLayer::new(LARGEST_FORM))
        .layer(CsrfLayer::new())
        .layer(CompressionLayer::new());
    let health =
        Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(control);
    let metrics = Router::new().route("/metrics", get(metrics)).with_state(scrape);
    let id = HeaderName::from_static("x-request-id");
    let mut router = pages
        .merge(health)
        .merge(metrics)
        .layer(fixed("x-content-type-options", "nosniff"))
        .layer(fixed("cross-origin-opener-policy", "same-origin"))
        .layer(fixed("cross-origin-resource-policy", "same-origin"))
        // With `no-referrer`, a form without script would not find back to its page.
        .layer(fixed("referrer-policy", "same-origin"))
        .layer(fixed("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"));
    if secure {
        router = router.layer(fixed("strict-transport-security", "max-age=31536000"));
    }
    router
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::new(id.clone()))
        .layer(SetRequestIdLayer::new(id, MakeRequestUuid))
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
        .layer(CatchPanicLayer::new())
}

/// The path alone: a query may hold the token of a set-up or an invitation.
fn span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}

fn fixed(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
}

async fn ready(State(control): State<Control>) -> (StatusCode, &'static str) {
    match control.store().read().await {
        Ok(_) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "the store cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be read\n")
        }
    }
}

/// Counters for Prometheus: for this machine, or for who has the token.
async fn metrics(
    State(scrape): State<Scrape>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if !scrape.allows(peer.ip(), &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "metrics need the token of SLUICE_METRICS_TOKEN\n")
            .into_response();
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, scrape.text().await).into_response()
}

/// Serves until `stop`; open streams of live figures are then cut, everything else is finished.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let stopping = stop.clone();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::select! {
        done = async { server.await } => done,
        () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(3)).await } => Ok(()),
    }
}
