//! Temporary increases of a model's TPM: asked for, replaced, kept, ended, and what time and disuse do to them.

use domain::{Action, IncreaseState, increase::check_increase, parse_limit};
use serde::Serialize;
use store::{Conn, account::AccountRow, increase::IncreaseRow, model::ModelRow};

use crate::{
    Actor, Control, ControlError, Result,
    edit::{Edit, Object, new_id},
};

const DAY_MS: i64 = 86_400_000;
/// Disuse is told so long ahead.
const NOTICE_MS: i64 = 2 * DAY_MS;
/// A peak is known to the hour.
const PEAK_MS: i64 = store::increase::PEAK_BUCKET_MS;

/// One model in the Rate Limit tab.
#[derive(Clone, Debug)]
pub struct RateLimitView {
    /// The model's code.
    pub model: String,
    /// Requests in 60 s.
    pub rpm: i64,
    /// Tokens in 60 s by default; `None` when metered in calls.
    pub default_tpm: Option<i64>,
    /// Tokens in 60 s at this moment.
    pub tpm: Option<i64>,
    /// The highest temporary increase.
    pub tpm_upper_limit: Option<i64>,
    /// The highest sliding 60 s of tokens of the last seven days.
    pub peak: i64,
    /// The increase in force.
    pub increase: Option<ActiveIncrease>,
    /// Whether there is room below the upper limit.
    pub can_increase: bool,
}

/// An increase in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveIncrease {
    /// Its identity.
    pub id: String,
    /// Tokens in 60 s.
    pub tpm: i64,
    /// When the default returns.
    pub valid_until: i64,
    /// The highest sliding 60 s of tokens since it began.
    pub peak_used: i64,
    /// When it is withdrawn if nothing uses it until then.
    pub downsizes_at: i64,
    /// Whether that is to be told now.
    pub notice: bool,
}

#[derive(Serialize)]
struct Audited {
    model: String,
    tpm: i64,
    former_tpm: i64,
    valid_until: i64,
    state: String,
}

fn audited(row: &IncreaseRow) -> Audited {
    Audited {
        model: row.model_code.clone(),
        tpm: row.tpm,
        former_tpm: row.former_tpm,
        valid_until: row.valid_until,
        state: row.state.clone(),
    }
}

/// Every model's limits, increases and peaks.
///
/// # Errors
/// When the store cannot answer.
pub async fn rate_limits(control: &Control, actor: &Actor) -> Result<Vec<RateLimitView>> {
    actor.authorise(Action::View)?;
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let account = conn.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))?;
    let peaks = conn.peaks_since(actor.account(), now_ms - 7 * DAY_MS).await?;
    let configuration = control.configuration(&mut conn, actor.account()).await?;
    let mut views = Vec::new();
    for model in &configuration.models {
        let increase = match model.increased_to(now_ms) {
            Some(_) => active(&mut conn, &account, model, now_ms).await?,
            None => None,
        };
        let tpm = model.effective_tpm(now_ms);
        views.push(RateLimitView {
            peak: peaks.iter().find(|it| it.model_code == model.code).map_or(0, |it| it.tokens),
            can_increase: matches!((tpm, model.tpm_upper_limit), (Some(tpm), Some(upper)) if tpm < upper),
            rpm: model.rpm,
            default_tpm: model.tpm,
            tpm,
            tpm_upper_limit: model.tpm_upper_limit,
            increase,
            model: model.code.clone(),
        });
    }
    Ok(views)
}

async fn active(
    conn: &mut Conn,
    account: &AccountRow,
    model: &ModelRow,
    now_ms: i64,
) -> Result<Option<ActiveIncrease>> {
    let Some(row) = conn.active_increase(&account.id, &model.code).await? else { return Ok(None) };
    let downsizes_at = downsizes_at(conn, account, &row, model.tpm.unwrap_or(0)).await?;
    Ok(Some(ActiveIncrease {
        id: row.id,
        tpm: row.tpm,
        valid_until: row.valid_until,
        peak_used: row.peak_used,
        downsizes_at,
        notice: now_ms >= downsizes_at - NOTICE_MS && downsizes_at < row.valid_until,
    }))
}

/// When an increase is withdrawn if no 60 s use more than the default from now on: the period counts from its
/// beginning, from *Keep*, or from the end of the last hour that needed it, whichever was last.
async fn downsizes_at(conn: &mut Conn, account: &AccountRow, row: &IncreaseRow, default_tpm: i64) -> Result<i64> {
    let needed = conn.last_peak_above(&account.id, &row.model_code, default_tpm).await?;
    let since = row.requested_at.max(row.kept_at.unwrap_or(0)).max(needed.map_or(0, |hour| hour + PEAK_MS));
    Ok(since + account.inactivity_days * DAY_MS)
}

/// What the dialog sends.
#[derive(Clone, Debug, Default)]
pub struct IncreaseForm {
    /// The model's code.
    pub model: String,
    /// *Token Rate Limit* as typed.
    pub tpm: String,
}

/// Raises a model's TPM from the next call on. A former increase is replaced. Returns the new one.
///
/// # Errors
/// [`ControlError::Invalid`] at `model` or `tpm`.
pub async fn request(control: &Control, actor: &Actor, form: &IncreaseForm) -> Result<IncreaseRow> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let now_ms = edit.now_ms;
    let account = edit.account(actor.account()).await?.ok_or(ControlError::NotFound("the account"))?;
    let code = form.model.trim();
    let Some(model) = edit.model(actor.account(), code).await? else {
        return Err(ControlError::field("model", "this account has no such model"));
    };
    let (Some(current), Some(upper)) = (model.effective_tpm(now_ms), model.tpm_upper_limit) else {
        return Err(ControlError::field("model", domain::LimitError::NotMetered));
    };
    let given = parse_limit(&form.tpm).map_err(|error| ControlError::field("tpm", error))?;
    let Some(given) = given else { return Err(ControlError::field("tpm", "a number of tokens is needed")) };
    let running = model.increased_to(now_ms);
    check_increase(given, unsigned(current), unsigned(upper), running.map(unsigned))
        .map_err(|error| ControlError::field("tpm", error))?;
    let tpm = i64::try_from(given).map_err(|_| ControlError::field("tpm", "this number is too large"))?;
    if let Some(former) = edit.active_increase(actor.account(), code).await? {
        let state = if running.is_some() { IncreaseState::Replaced } else { IncreaseState::Expired };
        end(&mut edit, &former, state, Some(&actor.name)).await?;
    }
    let row = IncreaseRow {
        id: new_id(),
        account_id: actor.account().to_owned(),
        model_code: code.to_owned(),
        requested_at: now_ms,
        requested_by: actor.name.clone(),
        former_tpm: current,
        tpm,
        valid_until: now_ms + account.increase_validity_days * DAY_MS,
        state: IncreaseState::Active.as_str().to_owned(),
        ended_at: None,
        ended_by: None,
        kept_at: None,
        peak_used: 0,
    };
    edit.insert_increase(&row).await?;
    edit.note("create", Object::Increase, code, None, Some(&audited(&row)));
    edit.commit().await?;
    Ok(row)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Ends an increase by hand: the default returns at once.
///
/// # Errors
/// [`ControlError::NotFound`] if it is not active any more.
pub async fn end_now(control: &Control, actor: &Actor, id: &str) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let row = active_by_id(&mut edit, actor, id).await?;
    end(&mut edit, &row, IncreaseState::Ended, Some(&actor.name)).await?;
    edit.commit().await
}

/// Keeps an increase though it was not used: its time of disuse begins anew.
///
/// # Errors
/// [`ControlError::NotFound`] if it is not active any more.
pub async fn keep(control: &Control, actor: &Actor, id: &str) -> Result<()> {
    actor.authorise(Action::Configure)?;
    let mut edit = control.edit(actor).await?;
    let row = active_by_id(&mut edit, actor, id).await?;
    let now_ms = edit.now_ms;
    edit.keep_increase(actor.account(), id, now_ms).await?;
    edit.note("keep", Object::Increase, &row.model_code, Some(&audited(&row)), Some(&audited(&row)));
    edit.commit().await
}

async fn active_by_id(edit: &mut Edit, actor: &Actor, id: &str) -> Result<IncreaseRow> {
    let now_ms = edit.now_ms;
    let row = edit.increase(actor.account(), id).await?;
    row.filter(|it| it.state == IncreaseState::Active.as_str() && now_ms < it.valid_until)
        .ok_or(ControlError::NotFound("this increase"))
}

async fn end(edit: &mut Edit, row: &IncreaseRow, state: IncreaseState, by: Option<&str>) -> Result<()> {
    // An increase whose time was over earlier ended then, whoever finds out later.
    let at_ms = if state == IncreaseState::Expired { row.valid_until } else { edit.now_ms };
    let by = by.filter(|_| state != IncreaseState::Expired);
    edit.end_increase(&row.account_id, &row.id, state, at_ms, by).await?;
    let after = IncreaseRow { state: state.as_str().to_owned(), ..row.clone() };
    edit.note(state.label(), Object::Increase, &row.model_code, Some(&audited(row)), Some(&audited(&after)));
    Ok(())
}

/// A page of the account's history, the newest first; `before` is the last row of the page before.
///
/// # Errors
/// When the store cannot answer.
pub async fn history(
    control: &Control,
    actor: &Actor,
    before: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<IncreaseRow>> {
    actor.authorise(Action::View)?;
    let (before_ms, before_id) = before.unwrap_or((i64::MAX, ""));
    let now_ms = control.now_ms();
    let mut conn = control.store().read().await?;
    let mut rows = conn.increases(actor.account(), before_ms, before_id, limit.clamp(1, 500)).await?;
    for row in &mut rows {
        // The sweep may come a moment later; nobody is to see an active row whose time is over.
        if row.state == IncreaseState::Active.as_str() && row.valid_until <= now_ms {
            row.state = IncreaseState::Expired.as_str().to_owned();
            row.ended_at = Some(row.valid_until);
        }
    }
    Ok(rows)
}

/// Ends what time or disuse has ended, in every account, and returns how many. To be called every few seconds.
///
/// # Errors
/// When the store cannot; what was ended until then stays so.
pub async fn sweep(control: &Control) -> Result<usize> {
    let now_ms = control.now_ms();
    let mut due = Vec::new();
    let mut conn = control.store().read().await?;
    for row in conn.active_increases().await? {
        if row.valid_until <= now_ms {
            due.push((row, IncreaseState::Expired));
            continue;
        }
        let Some(account) = conn.account(&row.account_id).await? else { continue };
        let Some(model) = conn.model(&row.account_id, &row.model_code).await? else { continue };
        if downsizes_at(&mut conn, &account, &row, model.tpm.unwrap_or(0)).await? <= now_ms {
            due.push((row, IncreaseState::Downsized));
        }
    }
    drop(conn);
    let count = due.len();
    for (row, state) in due {
        let mut edit = control.edit(&Actor::process(&row.account_id)).await?;
        // Kept, replaced or ended meanwhile: then this is not the row that was judged.
        if edit.increase(&row.account_id, &row.id).await?.as_ref() == Some(&row) {
            end(&mut edit, &row, state, None).await?;
            edit.commit().await?;
        }
    }
    Ok(count)
}
