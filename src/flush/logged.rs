//! Which finished calls the call log takes: all of them while few end, a sample of many. What has no room is counted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::{BrokenLimit, Explanation, KeyId, ModelCode};
use gateway::{CallRecord, Outcome, Refused};
use store::{call_log::CallRow, refusal::Gap, rollup::Lane};

use super::signed;

/// Of calls without refusal or failure the log takes a thousand at once and then twenty a second: at most 1.7 million a
/// day, however many there are.
const ORDINARY: Room = Room::new(1_000.0, 20.0);

/// Of refused and failed calls, which people look for.
const NOTABLE: Room = Room::new(5_000.0, 200.0);

/// Of these, the ones of each key and model that find room in any case, so that a flood hides nobody else's.
const OF_EACH: Room = Room::new(20.0, 0.2);

/// Log rows that wait for one packet.
const LOGGED_WAITING: usize = 20_000;

/// What the log takes with the next packet.
#[derive(Debug)]
pub(super) struct Logged {
    calls: Vec<CallRow>,
    /// Calls without room by account, minute, workspace, and whether they were refused or failed.
    gaps: BTreeMap<(String, i64, String, bool), i64>,
    ordinary: Room,
    notable: Room,
    /// Of keys and models that were refused or failed lately.
    pub(super) of_each: HashMap<(KeyId, Arc<ModelCode>), Room>,
}

/// How many calls the log still takes: all of them while few end, a sample of many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    left: f64,
    most: f64,
    a_second: f64,
}

impl Room {
    const fn new(most: f64, a_second: f64) -> Self {
        Self { left: most, most, a_second }
    }

    fn pass(&mut self, time: Duration) {
        self.left = (self.left + self.a_second * time.as_secs_f64()).min(self.most);
    }

    fn take(&mut self) -> bool {
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

impl Default for Logged {
    fn default() -> Self {
        Self { calls: Vec::new(), gaps: BTreeMap::new(), ordinary: ORDINARY, notable: NOTABLE, of_each: HashMap::new() }
    }
}

impl Logged {
    /// Lets time pass: there is room for more calls again.
    pub(super) fn pass(&mut self, time: Duration) {
        self.ordinary.pass(time);
        self.notable.pass(time);
        self.of_each.retain(|_, it| {
            it.pass(time);
            it.left < it.most
        });
    }

    /// Keeps the row of a call if there is room; whether there was.
    pub(super) fn keep(&mut self, call: &CallRecord, lane: Lane) -> bool {
        let room = self.calls.len() < LOGGED_WAITING && self.has_room(call);
        if room {
            self.calls.push(row(call, lane));
        }
        room
    }

    fn has_room(&mut self, call: &CallRecord) -> bool {
        if !call.outcome.failed() {
            return self.ordinary.take();
        }
        let of = (call.caller.key.clone(), Arc::clone(&call.model));
        self.of_each.entry(of).or_insert(OF_EACH).take() || self.notable.take()
    }

    /// Counts calls that found no room.
    pub(super) fn leave_out(&mut self, gap: Gap) {
        let Gap { account, at_ms, workspace, notable, calls } = gap;
        *self.gaps.entry((account, at_ms, workspace, notable)).or_default() += calls;
    }

    /// Takes what was kept, and how much was not.
    pub(super) fn take(&mut self) -> (Vec<CallRow>, Vec<Gap>) {
        let gaps = std::mem::take(&mut self.gaps).into_iter();
        let gaps =
            gaps.map(|((account, at_ms, workspace, notable), calls)| Gap { account, at_ms, workspace, notable, calls });
        (std::mem::take(&mut self.calls), gaps.collect())
    }
}

fn row(call: &CallRecord, lane: Lane) -> CallRow {
    let refused = match call.outcome {
        Outcome::Refused(refused) => Some(refused),
        _ => None,
    };
    let cause = refused.map(|it| it.cause).or(match call.outcome {
        Outcome::Provider { cause, .. } => cause,
        _ => None,
    });
    CallRow {
        account_id: call.caller.account.as_str().to_owned(),
        at_ms: call.started_at_ms,
        id: call.request_id.to_string(),
        workspace_id: call.caller.workspace.as_str().to_owned(),
        key_id: call.caller.key.as_str().to_owned(),
        model_code: call.model.as_str().to_owned(),
        lane: lane.as_str().to_owned(),
        outcome: word(&call.outcome).to_owned(),
        status: i64::from(call.outcome.status()),
        cause: cause.map(|it| it.as_str().to_owned()),
        scope: refused.map(|it| it.scope.as_str().to_owned()),
        window_s: refused.map(|it| signed(it.window.seconds())),
        explanation: refused.and_then(|it| serde_json::to_string(&explanation(call, it)).ok()),
        tokens_prompt: signed(call.tokens.prompt),
        tokens_output: signed(call.tokens.output),
        tokens_total: signed(call.tokens.total),
        estimated: call.tokens.estimated,
        streamed: call.streamed,
        latency_us: matches!(call.outcome, Outcome::Ok).then_some(signed(call.latency_us)),
        ttft_us: call.ttft_us.map(signed),
        upstream_id: None,
        notable: call.outcome.failed(),
        fell_back: call.fell_back,
        retries: i64::from(call.client_retries),
    }
}

/// Every limit that the call would have broken, the named one first.
fn explanation(call: &CallRecord, refused: Refused) -> Explanation {
    let Refused { cause, scope, window, limit, used, needed, retry_after_us } = refused;
    let mut limits = vec![BrokenLimit { cause, scope, window, limit, used, needed, retry_after_us }];
    limits.extend(&call.also_broken);
    Explanation { limits, retry_after_us }
}

/// The outcome in the call log's words.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Refused(_) => "refused",
        Outcome::Undecided => "undecided",
        Outcome::Provider { .. } => "provider",
        Outcome::Unreachable => "unreachable",
        Outcome::Broken => "broken",
        Outcome::Timeout => "timeout",
        Outcome::HangUp => "hang-up",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use domain::{AccountId, Cause, Scope, Window, WorkspaceId};
    use gateway::{Caller, Lane, Tokens};
    use uuid::Uuid;

    use super::{Arc, BrokenLimit, CallRecord, Explanation, KeyId, ModelCode, Outcome, Refused};

    pub(in crate::flush) const AT: i64 = 1_795_305_661_000;

    pub(in crate::flush) fn refused(caller: &Arc<Caller>, model: &Arc<ModelCode>) -> CallRecord {
        let (cause, scope, window) = (Cause::Tokens, Scope::Workspace, Window::Minute);
        let named = Refused { cause, scope, window, limit: 10, used: 9, needed: 2, retry_after_us: Some(7) };
        CallRecord {
            caller: Arc::clone(caller),
            model: Arc::clone(model),
            request_id: Uuid::nil(),
            lane: Lane::Limited,
            started_at_ms: AT,
            outcome: Outcome::Refused(named),
            also_broken: Vec::new(),
            latency_us: 1,
            ttft_us: None,
            tokens: Tokens::default(),
            streamed: false,
            fell_back: true,
            client_retries: 2,
        }
    }

    pub(in crate::flush) fn caller(key: &str) -> Arc<Caller> {
        let (account, workspace) = (AccountId::new("a"), WorkspaceId::new("w"));
        Arc::new(Caller { account, workspace, key: KeyId::new(key) })
    }

    #[test]
    fn a_refusal_is_kept_with_every_limit_it_broke() {
        let also = BrokenLimit {
            cause: Cause::Requests,
            scope: Scope::Account,
            window: Window::Second,
            limit: 1,
            used: 1,
            needed: 1,
            retry_after_us: Some(3),
        };
        let model = Arc::new(ModelCode::parse("qwen-plus").unwrap());
        let call = CallRecord { also_broken: vec![also], ..refused(&caller("k"), &model) };
        let row = super::row(&call, store::rollup::Lane::Limited);
        let it: Explanation = serde_json::from_str(row.explanation.as_deref().unwrap()).unwrap();
        assert_eq!((it.limits.len(), it.limits[1], it.retry_after_us), (2, also, Some(7)));
        assert_eq!((it.limits[0].limit, it.limits[0].used, it.limits[0].needed), (10, 9, 2));
        assert_eq!((row.fell_back, row.retries, row.notable), (true, 2, true));
    }
}
