//! Refused calls in the call log, who else called inside their window, and how many calls the log had no room for.

use sqlx::FromRow;

use crate::{
    Conn, Result, Tx,
    call_log::{CallQuery, CallRow, DAY_MS, slot_of},
};

/// By when an admitted call was decided: longer than calls wait for their turn and bodies take to arrive.
const DECIDED_AFTER_MS: i64 = 300_000;

macro_rules! slots {
    ($($suffix:literal $find:ident $provider:ident $list:ident $callers:ident;)*) => {
        statements! {
            $(
                $find = concat!("select ", call_columns!(), " from call_log_", $suffix, "
                    where account_id = $1 and id = $2 and outcome = 'refused'
                    order by at_ms
                    limit 1");
                // The rows of a time are few: the log takes so many a second.
                $provider = concat!("select ", call_columns!(), " from call_log_", $suffix, "
                    where account_id = $1 and notable = $5 and at_ms >= $2 and at_ms <= $3
                        and id = $4 and outcome = 'provider' and status = 429
                    order by at_ms
                    limit 1");
                $list = concat!("select ", call_columns!(), " from call_log_", $suffix, "
                    where account_id = $1 and workspace_id = $2 and outcome = 'refused'
                        and at_ms >= $3 and at_ms <= $4 and (at_ms < $4 or id < $5)
                    order by at_ms desc, id desc
                    limit $6");
                $callers = concat!("select model_code, workspace_id, key_id, count(*) as calls,
                        count(case when outcome not in ('refused', 'undecided') then 1 end) as admitted,
                        count(case when outcome = 'refused' then 1 end) as refused,
                        cast(coalesce(sum(tokens_prompt), 0) as bigint) as tokens_prompt,
                        cast(coalesce(sum(tokens_total), 0) as bigint) as tokens_total
                    from (select model_code, workspace_id, key_id, outcome, tokens_prompt, tokens_total, lane
                        from call_log_", $suffix, "
                        where account_id = $1 and notable = $2 and at_ms > $3 and at_ms <= $4
                        order by at_ms desc, id desc
                        limit $5) as inside
                    where lane = 'limited'
                    group by model_code, workspace_id, key_id");
            )*
            DAYS_IN_USE = "select slot, day from call_log_slot order by day desc";
            ADD_GAP = "insert into call_log_gap (account_id, at_ms, workspace_id, notable, calls)
                values ($1, $2, $3, $4, $5)
                on conflict (account_id, at_ms, workspace_id, notable) do update
                set calls = call_log_gap.calls + excluded.calls";
            GAPS = "select cast(coalesce(sum(calls), 0) as bigint)
                from call_log_gap
                where account_id = $1 and at_ms >= $2 and at_ms <= $3 and ($4 = '' or workspace_id = $4) and notable = $5";
            FORGET_GAPS = "delete from call_log_gap where at_ms < $1";
        }
        const FIND: [&str; 16] = [$($find),*];
        const PROVIDER: [&str; 16] = [$($provider),*];
        const LIST: [&str; 16] = [$($list),*];
        const CALLERS: [&str; 16] = [$($callers),*];
    };
}

slots! {
    "00" FIND_00 PROVIDER_00 LIST_00 CALLERS_00;
    "01" FIND_01 PROVIDER_01 LIST_01 CALLERS_01;
    "02" FIND_02 PROVIDER_02 LIST_02 CALLERS_02;
    "03" FIND_03 PROVIDER_03 LIST_03 CALLERS_03;
    "04" FIND_04 PROVIDER_04 LIST_04 CALLERS_04;
    "05" FIND_05 PROVIDER_05 LIST_05 CALLERS_05;
    "06" FIND_06 PROVIDER_06 LIST_06 CALLERS_06;
    "07" FIND_07 PROVIDER_07 LIST_07 CALLERS_07;
    "08" FIND_08 PROVIDER_08 LIST_08 CALLERS_08;
    "09" FIND_09 PROVIDER_09 LIST_09 CALLERS_09;
    "10" FIND_10 PROVIDER_10 LIST_10 CALLERS_10;
    "11" FIND_11 PROVIDER_11 LIST_11 CALLERS_11;
    "12" FIND_12 PROVIDER_12 LIST_12 CALLERS_12;
    "13" FIND_13 PROVIDER_13 LIST_13 CALLERS_13;
    "14" FIND_14 PROVIDER_14 LIST_14 CALLERS_14;
    "15" FIND_15 PROVIDER_15 LIST_15 CALLERS_15;
}

/// What one key did inside a window, as far as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CallerRow {
    /// The model that was called.
    pub model_code: String,
    /// The workspace that the calls counted for.
    pub workspace_id: String,
    /// The key they came with.
    pub key_id: String,
    /// Calls in the log.
    pub calls: i64,
    /// Of these, the ones that a limit let through.
    pub admitted: i64,
    /// Of these, the ones that a limit refused.
    pub refused: i64,
    /// Prompt tokens of all of them.
    pub tokens_prompt: i64,
    /// Tokens they were settled at.
    pub tokens_total: i64,
}

/// Calls of a minute that the log had no room for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Whose.
    pub account: String,
    /// The minute.
    pub at_ms: i64,
    /// The workspace they counted for.
    pub workspace: String,
    /// Refused and failed ones, or all others.
    pub notable: bool,
    /// How many.
    pub calls: i64,
}

impl Conn {
    /// The refusal that was answered with this id. `arrived_ms` is what the id tells of its time; the decision came on
    /// the same day or the next.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn refusal(&mut self, account: &str, id: &str, arrived_ms: i64) -> Result<Option<CallRow>> {
        let arrived = arrived_ms.div_euclid(DAY_MS);
        for (slot, day) in all!(self, (i64, i64), DAYS_IN_USE)? {
            if (arrived..=arrived + 1).contains(&day) {
                let found = optional!(self, CallRow, FIND[slot_of(slot)], account, id)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// The call with this id that the provider answered with 429. `arrived_ms` is what the id tells of its time.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn refusal_of_provider(&mut self, account: &str, id: &str, arrived_ms: i64) -> Result<Option<CallRow>> {
        let to_ms = arrived_ms.saturating_add(DECIDED_AFTER_MS);
        let days = arrived_ms.div_euclid(DAY_MS)..=to_ms.div_euclid(DAY_MS);
        for (slot, day) in all!(self, (i64, i64), DAYS_IN_USE)? {
            if days.contains(&day) {
                let sql = PROVIDER[slot_of(slot)];
                let found = optional!(self, CallRow, sql, account, arrived_ms, to_ms, id, true)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    /// A page of refused calls of one workspace, or with `workspace` empty of refused and failed calls of the whole
    /// account; the newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn refusals(
        &mut self,
        account: &str,
        workspace: &str,
        from_ms: i64,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<CallRow>> {
        if workspace.is_empty() {
            return self
                .calls(account, CallQuery { workspace, model: "", notable: true, from_ms, before, limit })
                .await;
        }
        let mut found = Vec::new();
        for (slot, day) in all!(self, (i64, i64), DAYS_IN_USE)? {
            let left = limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if left <= 0 || (day + 1) * DAY_MS <= from_ms {
                break;
            }
            if day * DAY_MS <= before.0 {
                let sql = LIST[slot_of(slot)];
                found.extend(all!(self, CallRow, sql, account, workspace, from_ms, before.0, before.1, left)?);
            }
        }
        Ok(found)
    }

    /// Who called in `(after_ms, to_ms]`, from at most `limit` rows of each kind: the newest of them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn callers(
        &mut self,
        account: &str,
        (after_ms, to_ms): (i64, i64),
        limit: i64,
    ) -> Result<Vec<CallerRow>> {
        let mut found = Vec::new();
        for (slot, day) in all!(self, (i64, i64), DAYS_IN_USE)? {
            if day * DAY_MS > to_ms || (day + 1) * DAY_MS <= after_ms {
                continue;
            }
            for notable in [true, false] {
                let sql = CALLERS[slot_of(slot)];
                found.extend(all!(self, CallerRow, sql, account, notable, after_ms, to_ms, limit)?);
            }
        }
        Ok(found)
    }

    /// The first instant of the oldest day that the log holds; `None` while it is empty.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn call_log_begins(&mut self) -> Result<Option<i64>> {
        Ok(all!(self, (i64, i64), DAYS_IN_USE)?.last().map(|it| it.1 * DAY_MS))
    }

    /// Calls of whole minutes from `from_ms` to that of `to_ms` that the log had no room for; of any workspace if it is
    /// empty.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn gaps(
        &mut self,
        account: &str,
        (from_ms, to_ms): (i64, i64),
        workspace: &str,
        notable: bool,
    ) -> Result<i64> {
        scalar!(self, i64, GAPS, account, from_ms, to_ms, workspace, notable)
    }
}

impl Tx {
    pub(crate) async fn add_gap(&mut self, gap: &Gap) -> Result<()> {
        run!(self, ADD_GAP, &gap.account, gap.at_ms, &gap.workspace, gap.notable, gap.calls)?;
        Ok(())
    }

    pub(crate) async fn forget_gaps(&mut self, before_ms: i64) -> Result<()> {
        run!(self, FORGET_GAPS, before_ms)?;
        Ok(())
    }
}
