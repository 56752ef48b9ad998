//! Workspaces: the list, and the editor of one workspace's models and limits.

use crate::{error::ApiError, outcome::Outcome};
use leptos::{server, server_fn::codec::GetUrl};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form that makes a workspace.
pub const CREATE: &str = "create-workspace";
/// The form that renames one.
pub const RENAME: &str = "rename-workspace";
/// The form that puts one away.
pub const ARCHIVE: &str = "archive-workspace";
/// The form of *Model Permission*.
pub const LIMITS: &str = "limits";

/// One row of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceView {
    /// Its identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it has the account's limits and every model.
    pub is_default: bool,
    /// When it was made.
    pub created_ms: i64,
    /// Models granted.
    pub models: u64,
    /// Keys not revoked.
    pub keys: u64,
    /// What a form that changes it sends along.
    pub revision: i64,
}

/// Everything on the editor's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorView {
    /// The workspace.
    pub workspace: WorkspaceView,
    /// Every model of the account by code.
    pub models: Vec<GrantView>,
}

/// One model of the account, as this workspace may or may not call it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// What clients call it.
    pub model: String,
    /// Where it is called.
    pub provider: String,
    /// Whether this workspace may call it.
    pub granted: bool,
    /// The workspace's own limit of requests a minute; `None` is the account's.
    pub rpm: Option<u64>,
    /// The workspace's own limit of tokens a minute; `None` is the account's.
    pub tpm: Option<u64>,
    /// The account's requests a minute.
    pub account_rpm: u64,
    /// The account's tokens a minute at this moment; `None` when the model is not metered in tokens.
    pub account_tpm: Option<u64>,
    /// Requests a minute of the other workspaces' own limits together; `None` for who may not see them.
    pub others_rpm: Option<u64>,
    /// Tokens a minute of the other workspaces' own limits together; `None` for who may not see them.
    pub others_tpm: Option<u64>,
}

/// Everything on the list's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspacesView {
    /// The workspaces the viewer may see, the default one first.
    pub workspaces: Vec<WorkspaceView>,
    /// Those that were put away, the latest first.
    pub archived: Vec<ArchivedView>,
    /// Every model with its workspaces; empty for who sees one workspace alone.
    pub shares: Vec<SharesView>,
}

/// A workspace that was put away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedView {
    /// Its identity, under which Monitoring still shows its figures.
    pub id: String,
    /// What people called it.
    pub name: String,
    /// When it was put away.
    pub archived_ms: i64,
}

/// One model, and what its workspaces may have of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharesView {
    /// The model's code.
    pub model: String,
    /// The account's requests a minute.
    pub rpm: u64,
    /// The account's tokens a minute at this moment; `None` when not metered in tokens.
    pub tpm: Option<u64>,
    /// The workspaces' own limits of requests together.
    pub sum_rpm: u64,
    /// The workspaces' own limits of tokens together.
    pub sum_tpm: u64,
    /// Whether either sum is above the account's.
    pub overcommitted: bool,
    /// Id, name, own requests and own tokens a minute of each workspace that may call it.
    pub shares: Vec<(String, String, Option<u64>, Option<u64>)>,
}

/// Lists the workspaces the viewer may see.
///
/// # Errors
/// [`ApiError::SignedOut`].
#[server(endpoint = "workspaces", input = GetUrl)]
pub async fn workspaces() -> Result<WorkspacesView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::workspaces(&crate::ssr::state(), &caller).await
}

/// Reads what the editor shows.
///
/// # Errors
/// [`ApiError::NotFound`] for a workspace the viewer does not see.
#[server(endpoint = "workspaces/editor", input = GetUrl)]
pub async fn editor(id: String) -> Result<EditorView, ApiError> {
    let caller = crate::ssr::caller()?;
    crate::ssr::settings::editor(&crate::ssr::state(), &caller, &id).await
}

/// Makes a workspace without models.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account.
#[server(endpoint = "workspaces/create")]
pub async fn create_workspace(name: String) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let made = ssr::outcome(control::workspaces::create(&ssr::state().control, &caller.actor, &name).await)?;
    let outcome = match made {
        Ok(id) => Outcome::go(format!("Workspace {} made", name.trim()), paths::workspace(&id)),
        Err(outcome) => outcome,
    };
    let back = paths::with_query(paths::WORKSPACES, &[("create", "1")]);
    ssr::answer(CREATE, &[("name", &name)], &back, outcome).await
}

/// Gives a workspace another name. `beside` is what was typed into *Model Permission* and not saved, as its form would
/// send it: the next page shows it again.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "workspaces/rename")]
pub async fn rename_workspace(
    id: String,
    revision: i64,
    name: String,
    #[server(default)] beside: String,
) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let done = control::workspaces::rename(&ssr::state().control, &caller.actor, &id, revision, &name).await;
    let (outcome, reached) = match ssr::outcome(done)? {
        Ok(()) => (Outcome::done("Name stored"), revision + 1),
        Err(outcome) => (outcome, revision),
    };
    let beside = ssr::beside(LIMITS, &beside, revision, reached).await;
    let typed = [("revision", &*revision.to_string()), ("name", &name)];
    ssr::answer_beside(RENAME, &typed, beside, &paths::workspace(&id), outcome).await
}

/// Puts a workspace away: its keys stop, its figures stay.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "workspaces/archive")]
pub async fn archive_workspace(id: String, revision: i64) -> Result<Outcome, ApiError> {
    use crate::{paths, ssr};
    let caller = ssr::caller()?;
    let done = control::workspaces::archive(&ssr::state().control, &caller.actor, &id, revision).await;
    let outcome = ssr::outcome(done)?.map_or_else(|it| it, |()| Outcome::go("Workspace archived", paths::WORKSPACES));
    let back = paths::with_query(&paths::workspace(&id), &[("archive", "1")]);
    ssr::answer(ARCHIVE, &[], &back, outcome).await
}

/// *Save Changes*: stores exactly these grants, all or nothing. `beside` is a name that was typed and not stored, as its
/// form would send it.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "workspaces/limits/set")]
pub async fn set_limits(
    id: String,
    revision: i64,
    #[server(default)] grant: Vec<String>,
    #[server(default)] rpm: BTreeMap<String, String>,
    #[server(default)] tpm: BTreeMap<String, String>,
    #[server(default)] beside: String,
) -> Result<Outcome, ApiError> {
    use crate::{draft::Draft, paths, ssr};
    let caller = ssr::caller()?;
    let draft = Draft { grant, rpm, tpm };
    let (outcome, reached) = ssr::settings::set_limits(&ssr::state(), &caller, &id, revision, &draft).await?;
    let beside = ssr::beside(RENAME, &beside, revision, reached).await;
    let typed = draft.typed_on(Some(revision));
    ssr::answer_beside(LIMITS, &pairs(&typed), beside, &paths::workspace(&id), outcome).await
}

/// *What would this do?*: what the limits as they are typed would have refused in the last seven days. Stores nothing.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "workspaces/limits/foresee")]
pub async fn foresee_limits(
    id: String,
    #[server(default)] revision: Option<i64>,
    #[server(default)] grant: Vec<String>,
    #[server(default)] rpm: BTreeMap<String, String>,
    #[server(default)] tpm: BTreeMap<String, String>,
) -> Result<Outcome, ApiError> {
    use crate::{draft::Draft, paths, ssr};
    let caller = ssr::caller()?;
    let draft = Draft { grant, rpm, tpm };
    let outcome = ssr::foresight::foresee(&ssr::state(), &caller, &id, &draft).await?;
    ssr::answer(LIMITS, &pairs(&draft.typed_on(revision)), &paths::workspace(&id), outcome).await
}

/// *Apply*, *Add* and *Remove* without script: takes what was typed into the form and stores nothing.
/// `act` is `apply`, `add`, `search`, `all`, or `remove:` and a model's code.
///
/// # Errors
/// [`ApiError::Forbidden`] for who may not configure the account, [`ApiError::NotFound`].
#[server(endpoint = "workspaces/limits/draft")]
pub async fn draft_limits(
    id: String,
    #[server(default)] revision: Option<i64>,
    #[server(default)] grant: Vec<String>,
    #[server(default)] pick: Vec<String>,
    #[server(default)] rpm: BTreeMap<String, String>,
    #[server(default)] tpm: BTreeMap<String, String>,
    #[server(default)] search: String,
    #[server(default)] provider: String,
    #[server(default)] act: String,
) -> Result<Outcome, ApiError> {
    use crate::{draft::Draft, paths, ssr};
    let caller = ssr::caller()?;
    let view = ssr::settings::editor_to_change(&ssr::state(), &caller, &id).await?;
    let mut draft = Draft { grant, rpm, tpm };
    let mut picks = pick;
    match act.as_str() {
        "add" => draft.add(&picks, &view.models),
        "all" => {
            picks = view.models.iter().filter(|it| it.matches(&search, &provider)).map(|it| it.model.clone()).collect();
        }
        act => {
            if let Some(model) = act.strip_prefix("remove:") {
                draft.grant.retain(|it| it != model);
            }
        }
    }
    // The key that ends a line in the search field presses the form's first button.
    let picking = matches!(act.as_str(), "all" | "search") || (act == "apply" && !search.is_empty());
    let outcome = Outcome::Invalid(draft.errors(&view.models));
    let kept = draft.typed_on(revision);
    let mut typed = pairs(&kept);
    if picking {
        typed.extend([("search", search.as_str()), ("provider", provider.as_str())]);
        typed.extend(picks.iter().map(|it| ("pick", it.as_str())));
    }
    let back = paths::with_query(&paths::workspace(&id), &[("picker", if picking { "1" } else { "" })]);
    ssr::answer(LIMITS, &typed, &back, outcome).await
}

#[cfg(feature = "ssr")]
fn pairs(typed: &[(String, String)]) -> Vec<(&str, &str)> {
    typed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
