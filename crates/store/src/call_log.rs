//! The call log: one row a call, without prompts, in one table a day that is emptied whole.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::{Conn, Result, Store, Tx, connect::Engine, sql::within, text};

/// Days that tables exist for; a day's rows are in table `day mod 16`.
pub const SLOTS: i64 = 16;

/// The longest time for which the log can be kept, in days: a table must be empty before its turn comes again.
pub const MAX_DAYS: i64 = SLOTS - 2;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// The columns of a [`CallRow`]; a macro, since a statement is one literal.
macro_rules! call_columns {
    () => {
        "account_id, at_ms, id, workspace_id, key_id, model_code, lane, outcome, status, cause, scope, window_s,
            explanation, tokens_prompt, tokens_output, tokens_total, estimated, streamed, latency_us, ttft_us,
            upstream_id, notable, fell_back, retries"
    };
}

/// How many there are.
const COLUMNS: usize = 24;

/// Rows of one statement.
const ROWS: [usize; 3] = [16, 4, 1];

macro_rules! insert {
    ($suffix:literal, $rows:expr, $placeholder:ident) => {
        insert_rows!(
            concat!("insert into call_log_", $suffix, " (", call_columns!(), ") values "),
            COLUMNS,
            $rows,
            " on conflict (account_id, notable, at_ms, id) do nothing",
            $placeholder
        )
    };
}

macro_rules! slots {
    ($($suffix:literal $insert_16:ident $insert_4:ident $insert_1:ident $page:ident;)*) => {
        statements! {
            $(
                $insert_16 = insert!($suffix, 16, Numbered);
                $insert_4 = insert!($suffix, 4, Numbered);
                $insert_1 = insert!($suffix, 1, Numbered);
                $page = concat!("select ", call_columns!(), " from call_log_", $suffix, "
                    where account_id = $1 and notable = $7 and at_ms >= $2 and at_ms <= $3
                        and (at_ms < $3 or id < $4)
                        and ($5 = '' or workspace_id = $5) and ($6 = '' or model_code = $6)
                    order by at_ms desc, id desc
                    limit $8");
            )*
            SLOTS_IN_USE = "select slot, day from call_log_slot order by day desc";
            TAKE_SLOT = "insert into call_log_slot (slot, day)
                values ($1, $2)
                on conflict (slot) do update set day = excluded.day where call_log_slot.day < excluded.day";
            FREE_SLOT = "delete from call_log_slot where slot = $1 and day = $2";
        }
        const INSERT: [[&str; ROWS.len()]; 16] = [$([$insert_16, $insert_4, $insert_1]),*];
        /// For SQLite.
        const INSERT_BARE: [[&str; ROWS.len()]; 16] =
            [$([insert!($suffix, 16, Bare), insert!($suffix, 4, Bare), insert!($suffix, 1, Bare)]),*];
        const PAGE: [&str; 16] = [$($page),*];
        // Without a condition SQLite drops the table's pages; PostgreSQL would visit every row, and truncates instead.
        const EMPTY_SQLITE: [&str; 16] = [$(concat!("delete from call_log_", $suffix)),*];
        const EMPTY_POSTGRES: [&str; 16] = [$(concat!("truncate table call_log_", $suffix)),*];
    };
}

slots! {
    "00" INSERT_16_00 INSERT_4_00 INSERT_1_00 PAGE_00;
    "01" INSERT_16_01 INSERT_4_01 INSERT_1_01 PAGE_01;
    "02" INSERT_16_02 INSERT_4_02 INSERT_1_02 PAGE_02;
    "03" INSERT_16_03 INSERT_4_03 INSERT_1_03 PAGE_03;
    "04" INSERT_16_04 INSERT_4_04 INSERT_1_04 PAGE_04;
    "05" INSERT_16_05 INSERT_4_05 INSERT_1_05 PAGE_05;
    "06" INSERT_16_06 INSERT_4_06 INSERT_1_06 PAGE_06;
    "07" INSERT_16_07 INSERT_4_07 INSERT_1_07 PAGE_07;
    "08" INSERT_16_08 INSERT_4_08 INSERT_1_08 PAGE_08;
    "09" INSERT_16_09 INSERT_4_09 INSERT_1_09 PAGE_09;
    "10" INSERT_16_10 INSERT_4_10 INSERT_1_10 PAGE_10;
    "11" INSERT_16_11 INSERT_4_11 INSERT_1_11 PAGE_11;
    "12" INSERT_16_12 INSERT_4_12 INSERT_1_12 PAGE_12;
    "13" INSERT_16_13 INSERT_4_13 INSERT_1_13 PAGE_13;
    "14" INSERT_16_14 INSERT_4_14 INSERT_1_14 PAGE_14;
    "15" INSERT_16_15 INSERT_4_15 INSERT_1_15 PAGE_15;
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct CallRow {
    /// Whose.
    pub account_id: String,
    /// When it was admitted or refused.
    pub at_ms: i64,
    /// The call's id, as its client got it.
    pub id: String,
    /// The workspace it counted for.
    pub workspace_id: String,
    /// The key it came with.
    pub key_id: String,
    /// The model it called.
    pub model_code: String,
    /// `limited` or `batch`.
    pub lane: String,
    /// How it ended, in a word.
    pub outcome: String,
    /// The status its client got.
    pub status: i64,
    /// Of a refusal: `requests`, `tokens` or `surge`.
    pub cause: Option<String>,
    /// Of a refusal: `account` or `workspace`.
    pub scope: Option<String>,
    /// Of a refusal: 60 or 1.
    pub window_s: Option<i64>,
    /// Of a refusal: every limit it broke, as JSON; see `domain::Explained`.
    pub explanation: Option<String>,
    /// Prompt tokens.
    pub tokens_prompt: i64,
    /// Output tokens.
    pub tokens_output: i64,
    /// Tokens in all.
    pub tokens_total: i64,
    /// Whether the provider told no count.
    pub estimated: bool,
    /// Whether it was a stream.
    pub streamed: bool,
    /// From arrival to the end, in µs; `None` if it was not answered to the end.
    pub latency_us: Option<i64>,
    /// To the first content, in µs; `None` without a stream.
    pub ttft_us: Option<i64>,
    /// The provider's id of it.
    pub upstream_id: Option<String>,
    /// Refused or failed: what people look for.
    pub notable: bool,
    /// Whether this model gave the call up to its backup.
    pub fell_back: bool,
    /// How often the client had tried before, as it told.
    pub retries: i64,
}

/// Which calls to read from the log.
#[derive(Clone, Copy, Debug)]
pub struct CallQuery<'a> {
    /// Only this workspace's; empty for any.
    pub workspace: &'a str,
    /// Only this model's; empty for any.
    pub model: &'a str,
    /// Only refused and failed ones.
    pub notable: bool,
    /// Not before this instant.
    pub from_ms: i64,
    /// Before this instant and id: where the last page ended.
    pub before: (i64, &'a str),
    /// At most so many.
    pub limit: i64,
}

pub(crate) fn slot_of(day: i64) -> usize {
    usize::try_from(day.rem_euclid(SLOTS)).unwrap_or(0)
}

impl Conn {
    /// A page of an account's calls, the newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn calls(&mut self, account: &str, query: CallQuery<'_>) -> Result<Vec<CallRow>> {
        let mut found = Vec::new();
        for (slot, day) in all!(self, (i64, i64), SLOTS_IN_USE)? {
            let left = query.limit - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if left <= 0 || (day + 1) * DAY_MS <= query.from_ms {
                break;
            }
            if day * DAY_MS > query.before.0 {
                continue;
            }
            let mut page = self.page(slot_of(slot), account, query, true, left).await?;
            if !query.notable {
                page.extend(self.page(slot_of(slot), account, query, false, left).await?);
                page.sort_by(|a, b| (b.at_ms, &b.id).cmp(&(a.at_ms, &a.id)));
                page.truncate(usize::try_from(left).unwrap_or(0));
            }
            found.extend(page);
        }
        Ok(found)
    }

    async fn page(
        &mut self,
        slot: usize,
        account: &str,
        query: CallQuery<'_>,
        notable: bool,
        limit: i64,
    ) -> Result<Vec<CallRow>> {
        let (before_ms, before_id) = query.before;
        all!(
            self,
            CallRow,
            PAGE[slot],
            account,
            query.from_ms,
            before_ms,
            before_id,
            query.workspace,
            query.model,
            notable,
            limit
        )
    }
}

impl Tx {
    /// Appends calls; one that is there already stays as it is.
    pub(crate) async fn log_calls(&mut self, rows: &[CallRow]) -> Result<()> {
        let mut days: BTreeMap<i64, Vec<&CallRow>> = BTreeMap::new();
        for row in rows {
            days.entry(row.at_ms.div_euclid(DAY_MS)).or_default().push(row);
        }
        for (day, rows) in days {
            if self.take_slot(day).await? {
                self.log_day(&rows, slot_of(day)).await?;
            }
        }
        Ok(())
    }

    async fn log_day(&mut self, rows: &[&CallRow], slot: usize) -> Result<()> {
        let patience = self.patience();
        for (which, rows) in text::parts(&ROWS, rows) {
            macro_rules! write {
                ($sql:expr, $conn:expr) => {{
                    let mut query = sqlx::query($sql);
                    for row in rows {
                        query = query
                            .bind(&row.account_id)
                            .bind(row.at_ms)
                            .bind(&row.id)
                            .bind(&row.workspace_id)
                            .bind(&row.key_id)
                            .bind(&row.model_code)
                            .bind(&row.lane)
                            .bind(&row.outcome)
                            .bind(row.status)
                            .bind(row.cause.as_deref())
                            .bind(row.scope.as_deref())
                            .bind(row.window_s)
                            .bind(row.explanation.as_deref())
                            .bind(row.tokens_prompt)
                            .bind(row.tokens_output)
                            .bind(row.tokens_total)
                            .bind(row.estimated)
                            .bind(row.streamed)
                            .bind(row.latency_us)
                            .bind(row.ttft_us)
                            .bind(row.upstream_id.as_deref())
                            .bind(row.notable)
                            .bind(row.fell_back)
                            .bind(row.retries);
                    }
                    within(patience, query.execute($conn)).await.map(drop)?
                }};
            }
            match self.engine() {
                Engine::Sqlite(it) => write!(INSERT_BARE[slot][which], it),
                Engine::Postgres(it) => write!(INSERT[slot][which], it),
            }
        }
        Ok(())
    }

    async fn empty(&mut self, slot: usize) -> Result<()> {
        let patience = self.patience();
        match self.engine() {
            Engine::Sqlite(it) => sqlx::query(EMPTY_SQLITE[slot]).execute(it).await.map(drop)?,
            Engine::Postgres(it) => within(patience, sqlx::query(EMPTY_POSTGRES[slot]).execute(it)).await.map(drop)?,
        }
        Ok(())
    }

    /// Makes sure that the day's table holds this day's rows; `false` for a day so old that its table has another's.
    async fn take_slot(&mut self, day: i64) -> Result<bool> {
        let slot = day.rem_euclid(SLOTS);
        if let Some(held) = self.held(slot).await?.filter(|it| *it >= day) {
            return Ok(held == day);
        }
        if run!(self, TAKE_SLOT, slot, day)? > 0 {
            self.empty(slot_of(slot)).await?;
            return Ok(true);
        }
        // Another process came with the first call of this day or a later one at the same time, and was waited for.
        Ok(self.held(slot).await? == Some(day))
    }

    /// The day whose rows a table holds.
    async fn held(&mut self, slot: i64) -> Result<Option<i64>> {
        Ok(all!(self, (i64, i64), SLOTS_IN_USE)?.into_iter().find(|it| it.0 == slot).map(|it| it.1))
    }
}

impl Store {
    /// Empties the tables of days that ended before `before_ms`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn empty_call_log(&self, before_ms: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        for (slot, day) in all!(tx, (i64, i64), SLOTS_IN_USE)? {
            // Whoever frees the table empties it: by now it may hold a later day of another process.
            if (day + 1) * DAY_MS <= before_ms && run!(tx, FREE_SLOT, slot, day)? > 0 {
                tx.empty(slot_of(slot)).await?;
            }
        }
        tx.forget_gaps(before_ms).await?;
        tx.commit().await
    }
}
