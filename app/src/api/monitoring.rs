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
    /// Minutes that [`Self::from`] and [`Self::to`] are ahead of UTC, as they were typed.
    #[serde(default)]
    pub offset: String,
    /// Only this workspace (its id).
    #[serde(default)]
    pub workspace: String,
    /// Only this model.
    #[serde(default)]
    pub model: String,
    /// The column to sort by, `-` before it for the highest first.
    #[serde(default)]
    pub sort: String,
}

impl MonitoringQuery {
    /// The address that shows this.
    pub fn address(&self, path: &str) -> String {
        let pairs = [
            ("range", self.range.as_str()),
            ("from", &self.from),
            ("to", &self.to),
            ("offset", if self.from.is_empty() { "" } else { &self.offset }),
            ("workspace", &self.workspace),
            ("model", &self.model),
            ("sort", &self.sort),
        ];
        crate::paths::with_query(path, &pairs)
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
    /// Workspaces to filter by.
    pub workspaces: Vec<Choice>,
    /// Models to filter by.
    pub models: Vec<Choice>,
    /// Drawings.
    pub charts: Vec<ChartView>,
    /// Use of this moment of the models in [`Self::groups`].
    pub now: Vec<NowView>,
    /// Calls that were stopped before they reached the limiter.
    pub stopped: String,
    /// Whether the account never had a call.
    pub untouched: bool,
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
    /// What was changed about the range that was asked for.
    pub note: Option<String>,
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
    /// The account's RPM.
    pub rpm: Option<u64>,
    /// The account's TPM.
    pub tpm: Option<u64>,
}

/// A drawing made on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartView {
    /// What it shows.
    pub title: String,
    /// A quiet word beside it.
    pub note: String,
    /// Class and words of each series.
    pub legend: Vec<(String, String)>,
    /// The drawing: `<svg>` markup in which every text was escaped.
    pub svg: String,
    /// Its columns, as a table.
    pub columns: Vec<String>,
    /// Its rows, as a table.
    pub rows: Vec<Vec<String>>,
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
