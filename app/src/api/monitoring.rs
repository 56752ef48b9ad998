//! What Monitoring shows for one address.

use crate::{
    error::ApiError,
    ui::{Choice, TileView},
};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};

/// The address's part that decides what is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringQuery {
    /// A preset such as `3h`; empty for the first one or a custom range.
    #[serde(default)]
    pub range: String,
    /// Begin of a custom range, UTC.
    #[serde(default)]
    pub from: String,
    /// Its end.
    #[serde(default)]
    pub to: String,
    /// Minutes that [`Self::from`] and [`Self::to`] are ahead of UTC, as they were typed; two numbers with a comma where
    /// the clocks were changed between them.
    #[serde(default)]
    pub offset: String,
    /// The ranges that a zoom came from, the last one last: presets, or two minutes since the epoch, with commas between.
    #[serde(default)]
    pub zoom: String,
    /// Only this workspace (its id).
    #[serde(default)]
    pub workspace: String,
    /// Only this model.
    #[serde(default)]
    pub model: String,
    /// The column to sort by, `-` before it for the highest first.
    #[serde(default)]
    pub sort: String,
    /// The last model of the page of rows before; empty for the first page.
    #[serde(default)]
    pub after: String,
}

impl MonitoringQuery {
    /// The address that shows this.
    pub fn address(&self, path: &str) -> String {
        let custom = |value: &str| if self.from.is_empty() { String::new() } else { value.to_owned() };
        let pairs = [
            ("range", self.range.as_str()),
            ("from", &self.from),
            ("to", &self.to),
            ("offset", &custom(&self.offset)),
            ("zoom", &custom(&self.zoom)),
            ("workspace", &self.workspace),
            ("model", &self.model),
            ("sort", &self.sort),
            ("after", &self.after),
        ];
        crate::paths::with_query(path, &pairs)
    }

    /// The same rows and filters over the range with this name.
    #[must_use]
    pub fn over(&self, preset: &str) -> Self {
        let none = String::new;
        Self { range: preset.to_owned(), from: none(), to: none(), offset: none(), zoom: none(), ..self.clone() }
    }
}

/// Everything on the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitoringView {
    /// What was asked, as it was understood.
    pub query: MonitoringQuery,
    /// The range that is shown.
    pub range: RangeView,
    /// The five tiles.
    pub tiles: Vec<TileView>,
    /// One group for each model, in order.
    pub groups: Vec<GroupView>,
    /// Where the rows of this page stand among all.
    pub pages: PagesView,
    /// The lane that no limit holds, one row for each model and workspace.
    pub batch: Vec<BatchView>,
    /// Workspaces to filter by.
    pub workspaces: Vec<Choice>,
    /// Models to filter by.
    pub models: Vec<Choice>,
    /// Drawings along the range.
    pub charts: Vec<ChartView>,
    /// Drawings of the last ten minutes, of the model that stands first.
    pub strips: Vec<ChartView>,
    /// The models in [`Self::charts`]: a live page keeps them.
    pub drawn: Vec<String>,
    /// Which rows there are, in short: a live page is told of others.
    #[serde(default)]
    pub rows: String,
    /// The model in [`Self::strips`], the first of [`Self::drawn`], with the limits it is drawn against.
    #[serde(default)]
    pub by_second: Option<NowView>,
    /// Use of this moment of the models in [`Self::groups`], the first of them.
    pub now: Vec<NowView>,
    /// Calls that were stopped before they reached the limiter.
    pub stopped: String,
    /// How to begin, while the account never had a call.
    pub first_use: Option<FirstUseView>,
}

/// The range that is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeView {
    /// First instant inside.
    pub from_ms: i64,
    /// First instant outside.
    pub to_ms: i64,
    /// Whether it ends now, so that live figures belong to it.
    pub live: bool,
    /// One range back.
    pub back: String,
    /// One range forward; empty when that lies in the future.
    pub forward: String,
    /// The range before the last zoom; empty where there was none.
    pub unzoom: String,
    /// What a zoom's `from` and `to` are added to.
    pub zoom: String,
    /// What was changed about the range that was asked for.
    pub note: Option<String>,
}

/// Rows of this page among all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagesView {
    /// Models in all.
    pub models: usize,
    /// Models before this page.
    pub before: usize,
    /// The first page; empty on it.
    pub first: String,
    /// The next page; empty on the last.
    pub next: String,
}

/// A figure as it is shown, and in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// Shortened.
    pub text: String,
    /// In full; empty when that is the same.
    pub exact: String,
}

/// The figures of one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowView {
    /// Tokens a minute.
    pub avg_tpm: Figure,
    /// Requests a minute.
    pub avg_rpm: Figure,
    /// Calls.
    pub calls: Figure,
    /// Failed calls.
    pub failed: Figure,
    /// Their share.
    pub failure_rate: Figure,
    /// Time to first token.
    pub ttft: Figure,
    /// Latency.
    pub latency: Figure,
    /// [`Self::avg_tpm`] as a number, for its bar.
    pub tpm: u64,
    /// The token limit in force, if any.
    pub tpm_limit: Option<u64>,
    /// [`Self::avg_rpm`] as a number.
    pub rpm: u64,
    /// The request limit in force, if any.
    pub rpm_limit: Option<u64>,
    /// Whether any call failed.
    pub failing: bool,
}

/// A model and its workspaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// The model's code.
    pub model: String,
    /// All workspaces together.
    pub total: RowView,
    /// Each workspace by name.
    pub parts: Vec<PartView>,
}

/// One workspace's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// The workspace's name.
    pub workspace: String,
    /// Its figures.
    pub row: RowView,
}

/// One row of the batch lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchView {
    /// The model's code; empty where a call names none.
    pub model: String,
    /// The workspace's name.
    pub workspace: String,
    /// Calls.
    pub calls: Figure,
    /// Failed calls.
    pub failed: Figure,
    /// Tokens in all.
    pub tokens: Figure,
    /// Mean latency.
    pub latency: Figure,
}

/// Use of one model in the last 60 s and in the last second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NowView {
    /// The model's code.
    pub model: String,
    /// Requests in 60 s.
    pub requests: u64,
    /// Tokens in 60 s.
    pub tokens: u64,
    /// Requests in the last second.
    pub requests_second: u64,
    /// Tokens in the last second.
    pub tokens_second: u64,
    /// RPM in force: of the account, or of the workspace that is shown.
    pub rpm: Option<u64>,
    /// TPM in force, likewise.
    pub tpm: Option<u64>,
}

/// One series of a drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegendView {
    /// The class it is drawn with.
    pub class: String,
    /// What it is.
    pub words: String,
}

impl LegendView {
    /// One series.
    pub fn new(class: impl Into<String>, words: impl Into<String>) -> Self {
        Self { class: class.into(), words: words.into() }
    }
}

/// A drawing made on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartView {
    /// Its name in live events.
    pub key: String,
    /// What it shows.
    pub title: String,
    /// A quiet word beside it.
    pub note: String,
    /// Its series, where there are several.
    pub legend: Vec<LegendView>,
    /// The drawing: `<svg>` markup in which every text was escaped.
    pub svg: String,
    /// The columns of its table.
    pub columns: Vec<String>,
    /// The rows of its table: `<tr>` markup in which every text was escaped.
    pub rows: String,
    /// Whether a stretch of it can be looked at more closely.
    pub zooms: bool,
}

/// How far somebody who begins has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstUseView {
    /// Providers that are connected.
    pub providers: usize,
    /// Models there are.
    pub models: usize,
    /// Keys that work.
    pub keys: usize,
    /// A model that a new key may call.
    pub model: Option<String>,
    /// The workspace that a new key is made for: the default one, or the viewer's own.
    pub workspace: String,
}

/// Reads the page's content.
///
/// # Errors
/// [`ApiError::SignedOut`], and whatever keeps the figures from being read.
#[server(endpoint = "monitoring", input = GetUrl)]
pub async fn monitoring(query: MonitoringQuery) -> Result<MonitoringView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::monitoring::view(&crate::ssr::state(), &caller, query).await
}

/// Names the form that makes the first key.
pub const FIRST_KEY: &str = "first-key";

/// Makes a key and shows it on Monitoring, in a command that makes the first call.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not manage this workspace's keys.
#[server(endpoint = "keys/first")]
pub async fn first_key(workspace: String) -> Result<crate::outcome::Outcome, ApiError> {
    use crate::{outcome::Outcome, paths, ssr};
    let caller = ssr::caller()?;
    let allowed = caller.actor.authorise(domain::Action::ManageKeys(&domain::WorkspaceId::new(workspace.as_str())));
    allowed.map_err(ssr::failure)?;
    let form = control::keys::NewKey {
        workspace,
        name: "first call".to_owned(),
        error_dialect: "dashscope".to_owned(),
        expires_at: None,
    };
    let made = ssr::outcome(control::keys::create(&ssr::state().control, &caller.actor, &form).await)?;
    let outcome = made.map_or_else(
        |it| it,
        |key| Outcome::Done {
            message: "Key made".to_owned(),
            next: Some(paths::MONITORING.to_owned()),
            secret: Some(key.secret.expose().to_owned()),
        },
    );
    ssr::answer(FIRST_KEY, &[], paths::MONITORING, outcome).await
}
