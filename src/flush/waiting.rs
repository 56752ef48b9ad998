//! What ended since the last flush, added up per series and minute: as small for a thousand calls as for one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use domain::Cause;
use gateway::{CallRecord, Lane as CallLane, Outcome, Record, StoppedRecord};
use store::{
    refusal::Gap,
    rollup::{Batch, CallDelta, Figures, Histogram, Lane, Peak, SeriesKey},
};

use super::{logged::Logged, signed};

const MINUTE_MS: i64 = 60_000;

const HOUR_MS: i64 = 3_600_000;

/// Pairs of series and minute that wait while neither database nor spool takes them: about 50 MB.
const PAIRS_WAITING: usize = 64_000;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By series and minute.
    counted: BTreeMap<(SeriesKey, i64), Counted>,
    log: Logged,
    keys_used: BTreeMap<String, i64>,
    peaks: Vec<Peak>,
    lost: u64,
}

/// What calls of one series and minute add up to.
#[derive(Debug)]
struct Counted {
    first_at_ms: i64,
    figures: Figures,
    latency: Histogram,
    ttft: Histogram,
}

/// Calls of one key on one model that began in the same minute: what they have in common is looked up once.
struct Alike<'a> {
    first: &'a CallRecord,
    lane: Lane,
    /// `None` when there was no place for it.
    counted: Option<Counted>,
    last_at_ms: i64,
    /// Calls without room in the log; first those that succeeded, then those that were refused or failed.
    unlogged: [i64; 2],
}

/// Callers and models by their addresses, lanes and minutes.
type Known<'a> = HashMap<(usize, usize, Lane, i64), Alike<'a>>;

impl Counted {
    /// Nothing yet, of calls of which the first came at `first_at_ms`.
    fn none(first_at_ms: i64) -> Self {
        Self { first_at_ms, figures: Figures::default(), latency: Histogram::default(), ttft: Histogram::default() }
    }

    fn count(&mut self, call: &CallRecord) {
        self.first_at_ms = self.first_at_ms.min(call.started_at_ms);
        self.figures.add(&figures(call));
        if matches!(call.outcome, Outcome::Ok) {
            self.latency.count(call.latency_us);
        }
        if let Some(ttft_us) = call.ttft_us {
            self.ttft.count(ttft_us);
        }
    }

    fn add(&mut self, other: &Self) {
        self.first_at_ms = self.first_at_ms.min(other.first_at_ms);
        self.figures.add(&other.figures);
        self.latency.add(&other.latency);
        self.ttft.add(&other.ttft);
    }
}

impl Waiting {
    /// Lets time pass: the log has room for more calls again.
    pub fn pass(&mut self, time: Duration) {
        self.log.pass(time);
    }

    /// Adds records of calls that ended.
    pub fn add(&mut self, records: &[Record]) {
        let mut known = Known::new();
        let minute = |it: &Record| if let Record::Call(call) = it { minute_of(call.started_at_ms) } else { 0 };
        for same in records.chunk_by(|a, b| a.is_like(b) && minute(a) == minute(b)) {
            match &same[0] {
                Record::Call(first) => self.add_alike(first, same, &mut known),
                Record::Stopped(stopped) => self.add_stopped(stopped),
            }
        }
        for alike in known.into_values() {
            self.add_up(alike);
        }
    }

    /// Adds calls that are like their first to those that are `known`.
    fn add_alike<'a>(&mut self, first: &'a CallRecord, same: &'a [Record], known: &mut Known<'a>) {
        let lane = match first.lane {
            CallLane::Limited => Lane::Limited,
            CallLane::Batch => Lane::Batch,
            CallLane::Free => return,
        };
        let (caller, model) = (Arc::as_ptr(&first.caller).addr(), Arc::as_ptr(&first.model).addr());
        let others = known.len();
        let alike = known.entry((caller, model, lane, minute_of(first.started_at_ms))).or_insert_with(|| {
            let (last_at_ms, unlogged) = (first.started_at_ms, [0; 2]);
            let has_place = self.has_place(others, || series_of(first, lane));
            Alike { first, lane, counted: has_place.then(|| Counted::none(last_at_ms)), last_at_ms, unlogged }
        });
        for record in same {
            let Record::Call(call) = record else { continue };
            let Some(counted) = &mut alike.counted else {
                self.lost += 1;
                continue;
            };
            counted.count(call);
            alike.last_at_ms = alike.last_at_ms.max(call.started_at_ms);
            if !self.log.keep(call, lane) {
                alike.unlogged[usize::from(call.outcome.failed())] += 1;
            }
        }
    }

    fn add_up(&mut self, alike: Alike<'_>) {
        let Alike { first, lane, counted, last_at_ms, unlogged } = alike;
        let Some(counted) = counted else { return };
        self.used(first.caller.key.as_str(), last_at_ms);
        let key = series_of(first, lane);
        let at_ms = key.1 * MINUTE_MS;
        for (calls, notable) in unlogged.into_iter().zip([false, true]).filter(|it| it.0 > 0) {
            let (account, workspace) = (key.0.account.clone(), key.0.workspace.clone());
            self.log.leave_out(Gap { account, at_ms, workspace, notable, calls });
        }
        self.counted.entry(key).and_modify(|it| it.add(&counted)).or_insert(counted);
    }

    fn add_stopped(&mut self, stopped: &StoppedRecord) {
        let series = SeriesKey {
            account: stopped.caller.account.as_str().to_owned(),
            lane: Lane::Stopped,
            workspace: stopped.caller.workspace.as_str().to_owned(),
            model: String::new(),
        };
        let key = (series, minute_of(stopped.at_ms));
        if !self.has_place(0, || key.clone()) {
            self.lost += 1;
            return;
        }
        let mut counted = Counted::none(stopped.at_ms);
        counted.figures.calls = 1;
        self.counted.entry(key).and_modify(|it| it.add(&counted)).or_insert(counted);
        self.used(stopped.caller.key.as_str(), stopped.at_ms);
    }

    /// Whether one more series and minute may wait beside these and `others`, or this one does already.
    fn has_place(&self, others: usize, key: impl FnOnce() -> (SeriesKey, i64)) -> bool {
        self.counted.len() + others < PAIRS_WAITING || self.counted.contains_key(&key())
    }

    fn used(&mut self, key: &str, at_ms: i64) {
        match self.keys_used.get_mut(key) {
            Some(last) => *last = at_ms.max(*last),
            None => {
                self.keys_used.insert(key.to_owned(), at_ms);
            }
        }
    }

    /// Notes peaks of use.
    pub fn peaks(&mut self, peaks: Vec<Peak>) {
        // Of the same hour the store keeps the highest, so those that could not be written are only merged.
        for peak in peaks {
            let same = |it: &&mut Peak| {
                (&it.account, &it.model, it.at_ms / HOUR_MS) == (&peak.account, &peak.model, peak.at_ms / HOUR_MS)
            };
            match self.peaks.iter_mut().find(same) {
                Some(known) => known.tokens = known.tokens.max(peak.tokens),
                None => self.peaks.push(peak),
            }
        }
    }

    /// Takes everything, as what one packet holds; `None` if there is nothing.
    pub fn pack(&mut self) -> Option<Vec<u8>> {
        let (calls, gaps) = self.log.take();
        let batch = Batch {
            deltas: std::mem::take(&mut self.counted).into_iter().map(delta).collect(),
            calls,
            gaps,
            keys_used: std::mem::take(&mut self.keys_used).into_iter().collect(),
            peaks: std::mem::take(&mut self.peaks),
            usage: None,
        };
        (!batch.is_empty()).then(|| batch.to_bytes())
    }

    /// Calls that found no room so far.
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

fn minute_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(MINUTE_MS)
}

/// The series and the minute that a call is counted in.
fn series_of(call: &CallRecord, lane: Lane) -> (SeriesKey, i64) {
    let series = SeriesKey {
        account: call.caller.account.as_str().to_owned(),
        lane,
        workspace: call.caller.workspace.as_str().to_owned(),
        model: call.model.as_str().to_owned(),
    };
    (series, minute_of(call.started_at_ms))
}

fn delta(((series, _), counted): ((SeriesKey, i64), Counted)) -> CallDelta {
    let Counted { first_at_ms, figures, latency, ttft } = counted;
    CallDelta { series, first_at_ms, figures, latency, ttft }
}

fn figures(call: &CallRecord) -> Figures {
    let mut it = Figures {
        calls: 1,
        estimated: i64::from(call.tokens.estimated && call.outcome.admitted()),
        fell_back: i64::from(call.fell_back),
        tokens_prompt: signed(call.tokens.prompt),
        tokens_output: signed(call.tokens.output),
        tokens_total: signed(call.tokens.total),
        ..Figures::default()
    };
    match call.outcome {
        Outcome::Ok => {
            it.latency_sum_us = signed(call.latency_us);
            it.latency_count = 1;
        }
        Outcome::Refused(refused) => match refused.cause {
            Cause::Requests => it.refused_requests = 1,
            Cause::Tokens => it.refused_tokens = 1,
            Cause::Surge => it.refused_surge = 1,
        },
        Outcome::Provider { status: 500.., .. } => it.upstream_5xx = 1,
        Outcome::Provider { .. } => it.upstream_4xx = 1,
        Outcome::Undecided | Outcome::Unreachable => it.unreachable = 1,
        Outcome::Broken => it.broken = 1,
        Outcome::Timeout => it.timed_out = 1,
        Outcome::HangUp => it.hung_up = 1,
    }
    if let Some(ttft_us) = call.ttft_us {
        it.ttft_sum_us = signed(ttft_us);
        it.ttft_count = 1;
    }
    it
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc, time::Duration};

    use domain::{AccountId, KeyId, ModelCode, WorkspaceId};
    use gateway::{CallRecord, Caller, Lane, Outcome, Record, Tokens};

    use super::{
        super::logged::tests::{AT, caller, refused},
        Figures, HOUR_MS, PAIRS_WAITING, Peak, StoppedRecord, Waiting,
    };

    #[test]
    fn a_flood_of_one_key_hides_no_refusal_of_another_and_what_has_no_room_is_counted() {
        let (flood, other) = (caller("flood"), caller("other"));
        let model = Arc::new(ModelCode::parse("qwen-plus").unwrap());
        let of = |caller: &Arc<Caller>, count| vec![Record::Call(refused(caller, &model)); count];
        let answered = CallRecord { outcome: Outcome::Ok, ..refused(&flood, &model) };
        let answered = vec![Record::Call(answered); 1_003];
        let mut waiting = Waiting::default();
        waiting.add(&[of(&flood, 5_070), of(&other, 25), answered].concat());
        let batch = store::rollup::Batch::from_bytes(&waiting.pack().unwrap()).unwrap();
        let logged = |key: &str, notable: bool| {
            batch.calls.iter().filter(|it| it.key_id == key && it.notable == notable).count()
        };
        assert_eq!((logged("flood", true), logged("other", true), logged("flood", false)), (5_020, 20, 1_000));
        let gaps: Vec<_> = batch.gaps.iter().map(|it| (it.at_ms, it.notable, it.calls)).collect();
        assert_eq!(gaps, [(AT - 1_000, false, 3), (AT - 1_000, true, 55)]);
        waiting.pass(Duration::from_secs(3_600));
        assert!(waiting.log.of_each.is_empty(), "what is not refused any more takes no memory");
    }

    #[test]
    fn calls_of_many_keys_and_models_are_added_up_by_series_and_minute_in_whatever_order_they_come() {
        let (account, other) = (AccountId::new("a"), WorkspaceId::new("v"));
        let callers = [caller("k"), caller("l"), Arc::new(Caller { account, workspace: other, key: KeyId::new("m") })];
        let models = ["qwen-plus", "qwen-max"].map(|it| Arc::new(ModelCode::parse(it).unwrap()));
        let (mut waiting, mut sums, mut last) = (Waiting::default(), BTreeMap::new(), BTreeMap::new());
        let mut calls: BTreeMap<(String, bool), i64> = BTreeMap::new();
        let mut n = 0_u32;
        for (records, alike) in [(700, 1), (1, 1), (0, 1), (2_000, 7), (100, 1)] {
            let records = (0..records).map(|_| {
                n += 1;
                // Neighbours have little in common, or all but minute and lane; earlier calls come after later ones.
                let turn = n as usize / alike;
                let (caller, model) = (&callers[turn * 7 % 3], &models[turn / 3 % 2]);
                let lane = if n.is_multiple_of(4) { Lane::Batch } else { Lane::Limited };
                let at = AT + i64::from(n) * 31_013 % 180_000;
                let failed = n.is_multiple_of(5);
                let outcome = if failed { refused(caller, model).outcome } else { Outcome::Ok };
                let tokens = Tokens { total: n.into(), ..Tokens::default() };
                let (latency_us, ttft_us) = (1_000 * u64::from(n), n.is_multiple_of(3).then_some(1_000));
                let workspace = caller.workspace.as_str().to_owned();
                let series = (workspace.clone(), model.as_str().to_owned(), lane == Lane::Batch, at.div_euclid(60_000));
                let sum: &mut (i64, i64, i64, i64, i64) = sums.entry(series).or_insert((i64::MAX, 0, 0, 0, 0));
                let (timed, first) = (i64::from(!failed), i64::from(ttft_us.is_some()));
                *sum = (sum.0.min(at), sum.1 + 1, sum.2 + i64::from(n), sum.3 + timed, sum.4 + first);
                *calls.entry((workspace, failed)).or_default() += 1;
                let used = last.entry(caller.key.as_str().to_owned()).or_insert(0);
                *used = at.max(*used);
                let of = refused(caller, model);
                Record::Call(CallRecord { lane, started_at_ms: at, outcome, tokens, latency_us, ttft_us, ..of })
            });
            waiting.add(&records.collect::<Vec<_>>());
        }
        let batch = store::rollup::Batch::from_bytes(&waiting.pack().unwrap()).unwrap();
        let deltas = batch.deltas.iter().map(|it| {
            let is_batch = it.series.lane == store::rollup::Lane::Batch;
            let minute = it.first_at_ms.div_euclid(60_000);
            let series = (it.series.workspace.clone(), it.series.model.clone(), is_batch, minute);
            let Figures { calls, tokens_total, .. } = it.figures;
            (series, (it.first_at_ms, calls, tokens_total, it.latency.total(), it.ttft.total()))
        });
        assert_eq!(deltas.collect::<BTreeMap<_, _>>(), sums);
        assert_eq!(batch.keys_used.into_iter().collect::<BTreeMap<_, _>>(), last);
        let mut told: BTreeMap<(String, bool), i64> = BTreeMap::new();
        for row in batch.calls {
            *told.entry((row.workspace_id, row.notable)).or_default() += 1;
        }
        assert!(told.values().sum::<i64>() < n.into(), "the log has no room for some");
        for gap in batch.gaps {
            *told.entry((gap.workspace, gap.notable)).or_default() += gap.calls;
        }
        assert_eq!(told, calls);
    }

    #[test]
    fn what_no_place_is_left_for_is_counted_as_lost() {
        let (caller, model) = (caller("k"), Arc::new(ModelCode::parse("m").unwrap()));
        let at =
            |minute: i64| Record::Call(CallRecord { started_at_ms: AT + minute * 60_000, ..refused(&caller, &model) });
        let most = i64::try_from(PAIRS_WAITING).unwrap();
        let mut waiting = Waiting::default();
        waiting.add(&(0..most + 2).map(at).collect::<Vec<_>>());
        assert_eq!(waiting.lost(), 2);
        waiting.add(&[at(0), at(most - 1), at(most + 7)]);
        assert_eq!(waiting.lost(), 3);
        let stopped = StoppedRecord { caller: Arc::clone(&caller), at_ms: AT, status: 400 };
        waiting.add(&[Record::Stopped(stopped)]);
        assert_eq!((waiting.lost(), waiting.counted.len()), (4, PAIRS_WAITING));
    }

    #[test]
    fn while_the_store_is_away_one_peak_waits_for_each_hour() {
        let mut waiting = Waiting::default();
        for sample in 0..60_i64 {
            let at_ms = sample % 3 * HOUR_MS + sample;
            waiting.peaks(vec![Peak { account: "a".to_owned(), model: "m".to_owned(), at_ms, tokens: 100 - sample }]);
        }
        let peaks: Vec<_> = waiting.peaks.iter().map(|it| (it.at_ms / HOUR_MS, it.tokens)).collect();
        assert_eq!(peaks, [(0, 100), (1, 99), (2, 98)]);
    }
}
