//! What the Settings pages show, from what the use cases know.

use super::{Caller, ConsoleState, failure, outcome};
use crate::{
    api::{
        keys::{KeyView, KeysView},
        members::{MemberView, MembersView},
        models::{ModelView, ModelsView, OfferView, OfferedView},
        providers::ProviderView,
        workspaces::{ArchivedView, EditorView, GrantView, SharesView, WorkspaceView, WorkspacesView},
    },
    draft::{Draft, field_name},
    error::ApiError,
    format::whole,
    outcome::{FieldError, Outcome},
    paths,
    ui::Choice,
};
use control::{
    ControlError,
    workspaces::{Grant, SetLimits},
};
use domain::{Action, Cause, Role, WorkspaceId};

/// Limits and counts are never negative; the store counts in signed numbers.
fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn workspace_view(it: control::workspaces::WorkspaceView) -> WorkspaceView {
    WorkspaceView {
        id: it.id,
        name: it.name,
        is_default: it.is_default,
        created_ms: it.created_at,
        models: count(it.models),
        keys: count(it.keys),
        revision: it.revision,
    }
}

/// The workspaces the caller may see.
pub(crate) async fn workspaces(state: &ConsoleState, caller: &Caller) -> Result<WorkspacesView, ApiError> {
    let (control, actor) = (&state.control, &caller.actor);
    let rows = control::workspaces::list(control, actor).await.map_err(failure)?;
    let archived = control::workspaces::archived(control, actor).await.map_err(failure)?;
    let shares = if caller.viewer.standing.sees_all() {
        control::workspaces::shares(control, actor).await.map_err(failure)?
    } else {
        Vec::new()
    };
    let archived =
        archived.into_iter().map(|it| ArchivedView { id: it.id, name: it.name, archived_ms: it.archived_at });
    Ok(WorkspacesView {
        workspaces: rows.into_iter().map(workspace_view).collect(),
        archived: archived.collect(),
        shares: shares.into_iter().map(shares_view).collect(),
    })
}

fn shares_view(it: control::workspaces::ModelShares) -> SharesView {
    let share = |it: control::workspaces::Share| (it.workspace_id, it.workspace, it.rpm.map(count), it.tpm.map(count));
    SharesView {
        overcommitted: it.overcommitted(),
        rpm: count(it.rpm),
        tpm: it.tpm.map(count),
        sum_rpm: count(it.sum_rpm),
        sum_tpm: count(it.sum_tpm),
        shares: it.shares.into_iter().map(share).collect(),
        model: it.model,
    }
}

/// What the editor of one workspace shows.
pub(crate) async fn editor(state: &ConsoleState, caller: &Caller, id: &str) -> Result<EditorView, ApiError> {
    let editor = control::workspaces::editor(&state.control, &caller.actor, id).await.map_err(failure)?;
    let sees_others = caller.viewer.standing.sees_all();
    let view = |it: control::workspaces::EditorModel| {
        let others = |sum: i64, own: Option<i64>| sees_others.then(|| count(sum - own.unwrap_or(0)));
        GrantView {
            others_rpm: others(it.sum_rpm, it.rpm),
            others_tpm: others(it.sum_tpm, it.tpm),
            model: it.code,
            provider: it.provider,
            granted: it.granted,
            rpm: it.rpm.map(count),
            tpm: it.tpm.map(count),
            account_rpm: count(it.account_rpm),
            account_tpm: it.account_tpm.map(count),
        }
    };
    Ok(EditorView {
        workspace: workspace_view(editor.workspace),
        models: editor.models.into_iter().map(view).collect(),
    })
}

/// The same for who is about to change it.
pub(crate) async fn editor_to_change(state: &ConsoleState, caller: &Caller, id: &str) -> Result<EditorView, ApiError> {
    caller.actor.authorise(Action::Configure).map_err(failure)?;
    editor(state, caller, id).await
}

/// Stores what a workspace may call; the revision it then has.
pub(crate) async fn set_limits(
    state: &ConsoleState,
    caller: &Caller,
    id: &str,
    revision: i64,
    draft: &Draft,
) -> Result<(Outcome, i64), ApiError> {
    let command = command(id, revision, draft);
    Ok(match outcome(control::workspaces::set_limits(&state.control, &caller.actor, &command).await)? {
        Ok(reached) => (Outcome::done("Changes saved. They are in force from the next call on."), reached),
        Err(Outcome::Invalid(errors)) => (Outcome::Invalid(errors.into_iter().map(at_field).collect()), revision),
        Err(other) => (other, revision),
    })
}

/// The draft as the use cases read it.
pub(super) fn command(id: &str, revision: i64, draft: &Draft) -> SetLimits {
    let grant = |model: &String| Grant {
        model: model.clone(),
        rpm: draft.text(Cause::Requests, model).to_owned(),
        tpm: draft.text(Cause::Tokens, model).to_owned(),
    };
    SetLimits { workspace: id.to_owned(), revision, grants: draft.grant.iter().map(grant).collect() }
}

/// `rpm.qwen-plus`, as use cases name a list's entry, is `rpm[qwen-plus]` in a form; what has no field names its model.
pub(super) fn at_field(error: FieldError) -> FieldError {
    match error.field.split_once('.') {
        Some(("rpm", model)) => FieldError::new(field_name(Cause::Requests, model), error.message),
        Some(("tpm", model)) => FieldError::new(field_name(Cause::Tokens, model), error.message),
        Some((_, model)) => FieldError::new("", format!("{model}: {}", error.message)),
        None => error,
    }
}

/// The keys the caller may see, and the workspaces the caller may make keys for.
pub(crate) async fn keys(state: &ConsoleState, caller: &Caller) -> Result<KeysView, ApiError> {
    let (control, actor, now_ms) = (&state.control, &caller.actor, state.control.now_ms());
    let rows = control::keys::list(control, actor, None).await.map_err(failure)?;
    let all = control::workspaces::list(control, actor).await.map_err(failure)?;
    let managed =
        all.iter().filter(|it| caller.viewer.standing.may(Action::ManageKeys(&WorkspaceId::new(it.id.as_str()))));
    let workspaces: Vec<_> = managed.map(|it| Choice::new(it.id.clone(), it.name.clone())).collect();
    // Keys of an archived workspace stay in the list, but call nothing any more.
    let newest = rows.iter().find(|key| all.iter().any(|it| it.id == key.workspace_id));
    let example_model = match newest {
        Some(newest) => {
            let editor = control::workspaces::editor(control, actor, &newest.workspace_id).await.map_err(failure)?;
            editor.models.into_iter().find(|it| it.granted).map(|it| it.code)
        }
        None => None,
    };
    let view = |it: control::keys::KeyView| KeyView {
        state: match (it.revoked_at, it.expires_at) {
            (Some(_), _) => "revoked",
            _ if it.archived => "workspace archived",
            (None, Some(at)) if at <= now_ms => "expired",
            _ => "active",
        }
        .to_owned(),
        id: it.id,
        name: it.name,
        prefix: it.prefix,
        workspace: it.workspace,
        error_dialect: it.error_dialect,
        created_ms: it.created_at,
        created_by: it.created_by,
        expires_ms: it.expires_at,
        last_used_ms: it.last_used_at,
        editable: it.editable,
    };
    Ok(KeysView { keys: rows.into_iter().map(view).collect(), workspaces, example_model })
}

/// The account's models.
pub(crate) async fn models(state: &ConsoleState, caller: &Caller) -> Result<ModelsView, ApiError> {
    let now_ms = state.control.now_ms();
    let rows = control::models::list(&state.control, &caller.actor).await.map_err(failure)?;
    let providers = control::providers::list(&state.control, &caller.actor).await.map_err(failure)?;
    let models = rows.into_iter().map(|it| ModelView {
        increased_tpm: it.increased_to(now_ms).map(count),
        code: it.code,
        provider: it.provider_name,
        upstream: it.upstream,
        metering: it.metering,
        rpm: count(it.rpm),
        tpm: it.tpm.map(count),
        tpm_upper_limit: it.tpm_upper_limit.map(count),
        backup: it.backup,
        fallback: it.fallback,
        default_output_tokens: count(it.default_output_tokens),
        first_byte_timeout_s: it.first_byte_timeout_s.map(count),
        stream_silence_s: it.stream_silence_s.map(count),
        revision: it.revision,
    });
    let providers = providers.into_iter().map(|it| Choice::new(it.name.clone(), it.name));
    Ok(ModelsView { models: models.collect(), providers: providers.collect() })
}

/// What a provider offers, or why it could not be asked.
pub(crate) async fn offered(state: &ConsoleState, caller: &Caller, id: &str) -> Result<OfferView, ApiError> {
    caller.actor.authorise(Action::Configure).map_err(failure)?;
    let (control, actor) = (&state.control, &caller.actor);
    let providers = control::providers::list(control, actor).await.map_err(failure)?;
    let choices = providers.iter().map(|it| Choice::new(it.id.clone(), it.name.clone())).collect();
    let asked = if id.is_empty() { providers.first() } else { providers.iter().find(|it| it.id == id) };
    let Some(provider) = asked else {
        let none = providers.is_empty() && id.is_empty();
        return if none { Ok(OfferView::default()) } else { Err(super::fail(ApiError::NotFound)) };
    };
    let known = control::models::list(control, actor).await.map_err(failure)?;
    let here = || known.iter().filter(|it| it.provider_id == provider.id);
    let lowest = |of: fn(&control::models::ModelRow) -> Option<i64>| {
        let lowest = here().filter_map(of).min().or_else(|| known.iter().filter_map(of).min());
        lowest.map(|it| whole(count(it))).unwrap_or_default()
    };
    let mut view = OfferView {
        providers: choices,
        provider: provider.id.clone(),
        rpm: lowest(|it| Some(it.rpm)),
        tpm: lowest(|it| it.tpm),
        ..OfferView::default()
    };
    match control::reach::offered(control, actor, &*state.reach, &provider.id).await {
        Ok(codes) => {
            let is_known =
                |code: &String| known.iter().any(|it| it.code == *code) || here().any(|it| it.upstream == *code);
            view.models = codes.into_iter().map(|code| OfferedView { known: is_known(&code), code }).collect();
        }
        Err(ControlError::Refused(reason)) => view.problem = Some(reason),
        Err(error) => return Err(failure(error)),
    }
    Ok(view)
}

/// Messages of an import, at the fields of its form.
pub(crate) fn at_import(error: FieldError) -> FieldError {
    match error.field.as_str() {
        "rpm" => FieldError::new("common_rpm", error.message),
        "tpm" => FieldError::new("common_tpm", error.message),
        _ => at_field(error),
    }
}

/// The account's providers.
pub(crate) async fn providers(state: &ConsoleState, caller: &Caller) -> Result<Vec<ProviderView>, ApiError> {
    let rows = control::providers::list(&state.control, &caller.actor).await.map_err(failure)?;
    let views = rows.into_iter().map(|it| ProviderView {
        id: it.id,
        name: it.name,
        openai_base_url: it.openai_base_url.unwrap_or_default(),
        dashscope_base_url: it.dashscope_base_url.unwrap_or_default(),
        anthropic_base_url: it.anthropic_base_url.unwrap_or_default(),
        has_credential: it.has_credential,
        revision: it.revision,
    });
    Ok(views.collect())
}

/// The account's members, and what the viewer may make of them.
pub(crate) async fn members(state: &ConsoleState, caller: &Caller) -> Result<MembersView, ApiError> {
    let rows = control::members::list(&state.control, &caller.actor).await.map_err(failure)?;
    let workspaces = control::workspaces::list(&state.control, &caller.actor).await.map_err(failure)?;
    let may = |role: Role| caller.viewer.standing.may(Action::ManageMember(role));
    let is_owner = |it: &control::members::MemberView| it.role == Role::Owner && it.invited_until.is_none();
    let owners = rows.iter().filter(|it| is_owner(it)).count();
    let members = rows.into_iter().map(|it| MemberView {
        editable: may(it.role),
        last_owner: owners == 1 && is_owner(&it),
        id: it.id,
        email: it.email,
        role: it.role.as_str().to_owned(),
        workspace: it.workspace.unwrap_or_default(),
        last_sign_in_ms: it.last_sign_in_at,
        invited_until_ms: it.invited_until,
    });
    let roles = Role::ALL.iter().filter(|it| may(**it)).map(|it| Choice::new(it.as_str(), it.as_str()));
    let scheme = if state.settings.secure_cookies { "https" } else { "http" };
    let host =
        super::answer::parts().headers.get("host").and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    Ok(MembersView {
        members: members.collect(),
        roles: roles.collect(),
        workspaces: workspaces.into_iter().map(|it| Choice::new(it.id, it.name)).collect(),
        invitation_url: format!("{scheme}://{host}{}?token=", paths::INVITATION),
    })
}
