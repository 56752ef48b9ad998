//! What is used at this moment, as server-sent events: figures and drawings that changed, never rows.

use super::{
    Caller, ConsoleState, identity,
    monitoring::{self, Draw},
    rate_limit,
};
use crate::{
    api::{
        monitoring::{MonitoringQuery, MonitoringView},
        rate_limit::{RateLimitQuery, RateLimitView},
    },
    live::Patch,
    paths,
    ui::filled,
};
use axum::{
    extract::{Query, Request, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response, Sse, sse::Event},
};
use control::Sessions;
use domain::{AccountId, ModelCode, WorkspaceId};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tower_sessions::{Session, session::Id};

/// Use of one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveFigures {
    /// Requests in the sliding 60 s.
    pub requests_minute: u64,
    /// Tokens in the sliding 60 s.
    pub tokens_minute: u64,
    /// Requests in the last second.
    pub requests_second: u64,
    /// Tokens in the last second.
    pub tokens_second: u64,
}

/// Use of one model.
#[derive(Clone, Debug)]
pub struct LiveCell {
    /// The model.
    pub model: ModelCode,
    /// Of the whole account.
    pub account: LiveFigures,
    /// Of each workspace that used it.
    pub workspaces: Vec<(WorkspaceId, LiveFigures)>,
}

/// What was charged to one second of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondUse {
    /// The second, counted from the epoch.
    pub at_s: i64,
    /// Requests that were admitted in it.
    pub requests: u64,
    /// Tokens that these were charged, as settled.
    pub tokens: u64,
    /// Requests that a limit refused in it.
    pub refused: u64,
}

/// The last ten minutes of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastSeconds {
    /// The second from which on anything is known: since when the process runs.
    pub since_s: i64,
    /// Seconds with calls, oldest first.
    pub seconds: Vec<SecondUse>,
}

/// The port through which the process lets the console read the ledger, and what was counted by the second.
pub trait LiveUse: Send + Sync {
    /// Use of every model of an account that was used in the last minute.
    fn live(&self, account: &AccountId) -> Vec<LiveCell>;

    /// The last ten minutes of one model: of one workspace, or of the account.
    fn seconds(&self, account: &AccountId, model: &ModelCode, workspace: Option<&WorkspaceId>) -> LastSeconds;
}

/// Faster than the second that is promised, so that a slow tick still keeps it.
const TICK: Duration = Duration::from_millis(750);
/// The database is asked at every so many ticks, also who the caller is by now: who was signed out stops receiving.
/// Between them only the ledger is.
const TICKS_A_READ: u32 = 4;
/// What changes by the minute is drawn anew at every so many ticks.
const TICKS_A_DRAWING: u32 = 20;

/// Which page listens.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Listener {
    /// Its path and query.
    #[serde(default)]
    page: String,
    /// The models it has drawn, a line each: a live page never exchanges them.
    #[serde(default)]
    drawn: String,
    /// The rows it shows, as [`fingerprint`] has them; empty if it does not say.
    #[serde(default)]
    rows: String,
}

/// Which rows there are, in short.
pub(crate) fn fingerprint(rows: &BTreeSet<String>) -> String {
    let mut hasher = DefaultHasher::new();
    rows.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Texts, bars and drawings by key, as they were sent last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) bars: BTreeMap<String, u64>,
    pub(crate) drawings: BTreeMap<String, String>,
    /// Which rows there are.
    pub(crate) rows: BTreeSet<String>,
}

impl Shown {
    pub(crate) fn text(&mut self, key: String, text: impl Into<String>) {
        self.texts.insert(key, text.into());
    }

    pub(crate) fn bar(&mut self, key: String, used: u64, limit: Option<u64>) {
        self.bars.insert(key, filled(used, limit));
    }

    /// Markup in which every text was escaped.
    pub(crate) fn drawing(&mut self, key: String, markup: impl Into<String>) {
        self.drawings.insert(key, markup.into());
    }

    /// Whether a page with rows of this fingerprint shows others than there are.
    fn differs(&self, fingerprint_of_page: &str) -> bool {
        !fingerprint_of_page.is_empty() && fingerprint(&self.rows) != fingerprint_of_page
    }

    /// What is not as it was. A row more or less is not drawn into a page, only told.
    fn since(&self, last: &Self) -> Patch {
        let texts = self.texts.iter().filter(|(key, text)| last.texts.get(*key) != Some(*text));
        let bars = self.bars.iter().filter(|(key, width)| last.bars.get(*key) != Some(*width));
        let drawings = self.drawings.iter().filter(|(key, markup)| last.drawings.get(*key) != Some(*markup));
        Patch {
            drawings: drawings.map(|(key, markup)| (key.clone(), markup.clone())).collect(),
            texts: texts.map(|(key, text)| (key.clone(), text.clone())).collect(),
            bars: bars.map(|(key, width)| (key.clone(), *width)).collect(),
            rows_changed: self.rows != last.rows,
        }
    }
}

/// What a page shows: rows from the database, and the use of this moment.
enum Page {
    Monitoring(Box<MonitoringView>),
    RateLimit(Box<RateLimitView>),
}

impl Page {
    /// Reads what `listener` shows; `last` gives the drawings that are not made anew.
    async fn read(state: &ConsoleState, caller: &Caller, listener: &Listener, last: Option<Self>) -> Option<Self> {
        let uri: Uri = listener.page.parse().ok()?;
        if uri.path() == paths::RATE_LIMIT {
            let query = Query::<RateLimitQuery>::try_from_uri(&uri).map(|it| it.0).unwrap_or_default();
            return Some(Self::RateLimit(Box::new(rate_limit::view(state, caller, &query).await.ok()?)));
        }
        let Query(query) = Query::<MonitoringQuery>::try_from_uri(&uri).ok()?;
        let models: Vec<String> = listener.drawn.lines().map(str::to_owned).collect();
        let draw = if last.is_some() { Draw::Nothing(&models) } else { Draw::These(&models) };
        let mut view = monitoring::drawn(state, caller, query, draw).await.ok()?;
        view.drawn = models;
        if let Some(Self::Monitoring(last)) = last {
            view.charts = last.charts;
        }
        Some(Self::Monitoring(Box::new(view)))
    }

    fn shown(&mut self, state: &ConsoleState, caller: &Caller) -> Shown {
        let mut shown = Shown::default();
        match self {
            Self::Monitoring(view) => {
                monitoring::refresh_now(state, caller, view);
                monitoring::show(view, &mut shown);
            }
            Self::RateLimit(view) => {
                rate_limit::refresh_now(state, caller, view);
                rate_limit::show(view, state.control.now_ms(), &mut shown);
            }
        }
        shown
    }
}

struct Connection {
    state: ConsoleState,
    caller: Caller,
    session: Option<Id>,
    listener: Listener,
    ticks: Interval,
    count: u32,
    page: Option<Page>,
    last: Option<Shown>,
}

impl Connection {
    /// The next event; `None` ends the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        self.ticks.tick().await;
        if self.count.is_multiple_of(TICKS_A_READ) {
            // The session of the request keeps what it once read; this one reads the store.
            let sessions = Sessions::new(self.state.control.clone());
            let session = Session::new(Some(self.session?), Arc::new(sessions), None);
            self.caller = identity::find(&self.state, &session, None).await.ok()??;
            // A page may stay open for weeks.
            identity::renew(&session, self.state.control.now_ms()).await.ok()?;
            if session.is_modified() {
                session.save().await.ok()?;
            }
            let last = self.page.take().filter(|_| !self.count.is_multiple_of(TICKS_A_DRAWING));
            self.page = Page::read(&self.state.for_a_page(), &self.caller, &self.listener, last).await;
        }
        let shown = self.page.as_mut()?.shown(&self.state, &self.caller);
        let patch = match &self.last {
            Some(last) => shown.since(last),
            // The page is some moments old, or hours: what changed since then is not known, so everything is sent once.
            // Its rows are known: it told which it shows.
            None => Patch { rows_changed: shown.differs(&self.listener.rows), ..shown.since(&Shown::default()) },
        };
        self.last = Some(shown);
        self.count = self.count.wrapping_add(1);
        let data = serde_json::to_string(&patch).ok()?;
        Some((Ok(Event::default().data(data)), self))
    }
}

/// The stream of one reader.
pub(crate) async fn stream(
    State(state): State<ConsoleState>,
    Query(listener): Query<Listener>,
    request: Request,
) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let session = request.extensions().get::<Session>().and_then(Session::id);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let connection = Connection { state, caller, session, listener, ticks, count: 0, page: None, last: None };
    let events = futures_util::stream::unfold(connection, Connection::next);
    // What is behind a proxy must not be held back there.
    ([("x-accel-buffering", "no"), ("cache-control", "no-store")], Sse::new(events)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_sent() {
        let mut last = Shown::default();
        last.text("a".into(), "1");
        last.text("b".into(), "1");
        last.bar("bar".into(), 1, Some(10));
        let mut now = last.clone();
        now.text("b".into(), "2");
        assert_eq!(now.since(&last), Patch { texts: vec![("b".into(), "2".into())], ..Patch::default() });
        now.rows.insert("c".into());
        assert!(now.since(&last).rows_changed);
    }

    #[test]
    fn a_page_that_was_away_is_told_of_rows_that_came_meanwhile() {
        let mut shown = Shown::default();
        let empty = fingerprint(&shown.rows);
        assert!(!shown.differs(&empty) && !shown.differs(""));
        shown.rows.insert("qwen-plus/search".into());
        assert!(shown.differs(&empty) && !shown.differs(""));
        assert!(!shown.differs(&fingerprint(&shown.rows)));
    }
}
