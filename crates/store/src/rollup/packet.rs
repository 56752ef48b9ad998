//! A batch as bytes: what waits in the database for the next roll-up, and in a file while there is no database.

use super::{
    Batch, CallDelta, Figures, Histogram, Lane, Peak, SeriesKey,
    bytes::{Bytes, Reading, Texts},
};
use crate::{call_log::CallRow, refusal::Gap};

/// The way of writing, so that a later one can be told from it. The first one had no gaps, and knew less of a call; what it
/// wrote is still read.
pub(super) const VERSION: u8 = 2;

impl Batch {
    /// Everything but [`Self::usage`], as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut texts = Texts::default();
        let mut body = Bytes::default();
        body.length(self.deltas.len());
        for it in &self.deltas {
            let SeriesKey { account, lane, workspace, model } = &it.series;
            for text in [account.as_str(), lane.as_str(), workspace, model] {
                body.length(texts.number(text));
            }
            body.number(it.first_at_ms);
            body.sparse(it.figures.values().chain(it.latency.0).chain(it.ttft.0));
        }
        body.length(self.calls.len());
        for it in &self.calls {
            call(&mut body, &mut texts, it);
        }
        body.length(self.gaps.len());
        for it in &self.gaps {
            body.length(texts.number(&it.account));
            body.length(texts.number(&it.workspace));
            body.number(it.at_ms);
            body.number(it.calls);
            body.0.push(u8::from(it.notable));
        }
        body.length(self.keys_used.len());
        for (key, at_ms) in &self.keys_used {
            body.length(texts.number(key));
            body.number(*at_ms);
        }
        body.length(self.peaks.len());
        for it in &self.peaks {
            body.length(texts.number(&it.account));
            body.length(texts.number(&it.model));
            body.number(it.at_ms);
            body.number(it.tokens);
        }
        let mut all = Bytes(vec![VERSION]);
        texts.write(&mut all);
        all.0.append(&mut body.0);
        all.0
    }

    /// What [`Self::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reading(bytes);
        let version = from.byte().filter(|it| (1..=VERSION).contains(it))?;
        let texts = from.many(Reading::text)?;
        let text = |from: &mut Reading<'_>| texts.get(from.length()?).map(|it| (*it).to_owned());
        let batch = Self {
            deltas: from.many(|from| {
                let account = text(from)?;
                let lane = Lane::parse(texts.get(from.length()?)?)?;
                let series = SeriesKey { account, lane, workspace: text(from)?, model: text(from)? };
                let first_at_ms = from.number()?;
                let (mut figures, mut latency, mut ttft) =
                    (Figures::default(), Histogram::default(), Histogram::default());
                from.sparse(|at, value| {
                    let buckets = at.checked_sub(Figures::COUNT);
                    let slot = match buckets {
                        None => figures.slot(at),
                        Some(at) => latency.0.iter_mut().chain(&mut ttft.0).nth(at),
                    };
                    if let Some(slot) = slot {
                        *slot = value;
                    }
                })?;
                Some(CallDelta { series, first_at_ms, figures, latency, ttft })
            })?,
            calls: from.many(|from| read_call(from, version, &text))?,
            gaps: if version > 1 { from.many(|from| read_gap(from, &text))? } else { Vec::new() },
            keys_used: from.many(|from| Some((text(from)?, from.number()?)))?,
            peaks: from.many(|from| {
                Some(Peak { account: text(from)?, model: text(from)?, at_ms: from.number()?, tokens: from.number()? })
            })?,
            usage: None,
        };
        from.is_empty().then_some(batch)
    }
}

fn call<'a>(body: &mut Bytes, texts: &mut Texts<'a>, it: &'a CallRow) {
    for text in [&it.account_id, &it.workspace_id, &it.key_id, &it.model_code, &it.lane, &it.outcome] {
        body.length(texts.number(text));
    }
    body.text(&it.id);
    for number in [it.at_ms, it.status, it.tokens_prompt, it.tokens_output, it.tokens_total] {
        body.number(number);
    }
    for word in [&it.cause, &it.scope] {
        body.optional(word.as_deref(), |body, word| body.length(texts.number(word)));
    }
    for text in [&it.explanation, &it.upstream_id] {
        body.optional(text.as_deref(), Bytes::text);
    }
    for number in [it.window_s, it.latency_us, it.ttft_us] {
        body.optional(number, Bytes::number);
    }
    body.0.extend([it.estimated, it.streamed, it.notable, it.fell_back].map(u8::from));
    body.number(it.retries);
}

fn read_gap(from: &mut Reading<'_>, text: &impl Fn(&mut Reading<'_>) -> Option<String>) -> Option<Gap> {
    let (account, workspace) = (text(from)?, text(from)?);
    let (at_ms, calls) = (from.number()?, from.number()?);
    Some(Gap { account, at_ms, workspace, notable: from.flag()?, calls })
}

fn read_call(
    from: &mut Reading<'_>,
    version: u8,
    text: &impl Fn(&mut Reading<'_>) -> Option<String>,
) -> Option<CallRow> {
    let own = |from: &mut Reading<'_>| from.text().map(ToOwned::to_owned);
    Some(CallRow {
        account_id: text(from)?,
        workspace_id: text(from)?,
        key_id: text(from)?,
        model_code: text(from)?,
        lane: text(from)?,
        outcome: text(from)?,
        id: own(from)?,
        at_ms: from.number()?,
        status: from.number()?,
        tokens_prompt: from.number()?,
        tokens_output: from.number()?,
        tokens_total: from.number()?,
        cause: from.optional(text)?,
        scope: from.optional(text)?,
        explanation: from.optional(own)?,
        upstream_id: from.optional(own)?,
        window_s: from.optional(Reading::number)?,
        latency_us: from.optional(Reading::number)?,
        ttft_us: from.optional(Reading::number)?,
        estimated: from.flag()?,
        streamed: from.flag()?,
        notable: from.flag()?,
        fell_back: version > 1 && from.flag()?,
        retries: if version > 1 { from.number()? } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut latency = Histogram::default();
        latency.count(42_000);
        let series = SeriesKey {
            account: "a".to_owned(),
            lane: Lane::Batch,
            workspace: "w".to_owned(),
            model: "qwen-plus".to_owned(),
        };
        let figures = Figures { calls: 3, ttft_count: -1, tokens_total: i64::MAX, ..Figures::default() };
        let call = CallRow {
            account_id: "a".to_owned(),
            at_ms: 1_700_000_000_123,
            id: "one".to_owned(),
            workspace_id: "w".to_owned(),
            key_id: "k".to_owned(),
            model_code: "qwen-plus".to_owned(),
            lane: "limited".to_owned(),
            outcome: "refused".to_owned(),
            status: 429,
            cause: Some("requests".to_owned()),
            scope: None,
            window_s: Some(60),
            explanation: Some("„ü“".to_owned()),
            tokens_prompt: 1,
            tokens_output: 2,
            tokens_total: 3,
            estimated: false,
            streamed: true,
            latency_us: None,
            ttft_us: Some(7),
            upstream_id: None,
            notable: true,
            fell_back: true,
            retries: 3,
        };
        let delta = CallDelta { series, first_at_ms: -5, figures, latency, ttft: Histogram::default() };
        Batch {
            deltas: vec![delta.clone(), CallDelta { ttft: latency, ..delta }],
            calls: vec![call],
            gaps: vec![Gap {
                account: "a".to_owned(),
                at_ms: 60_000,
                workspace: "w".to_owned(),
                notable: true,
                calls: 8,
            }],
            keys_used: vec![("k".to_owned(), 9)],
            peaks: vec![Peak { account: "a".to_owned(), model: "m".to_owned(), at_ms: 4, tokens: 5 }],
            usage: None,
        }
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let (batch, back) = (batch(), Batch::from_bytes(&batch().to_bytes()).unwrap());
        assert_eq!((batch.deltas, batch.calls), (back.deltas, back.calls));
        assert_eq!((batch.keys_used, batch.peaks, batch.gaps), (back.keys_used, back.peaks, back.gaps));
    }

    #[test]
    fn what_the_first_version_wrote_is_read() {
        let batch = Batch { gaps: Vec::new(), keys_used: Vec::new(), peaks: Vec::new(), ..batch() };
        let second = batch.to_bytes();
        // The end of the call: whether it fell back, and its retries; then no gap, no key, no peak.
        let (front, end) = second.split_at(second.len() - 5);
        assert_eq!(end, [1, 6, 0, 0, 0]);
        let first = [&[1], &front[1..], &[0, 0]].concat();
        let back = Batch::from_bytes(&first).unwrap();
        assert_eq!(back.deltas, batch.deltas);
        assert_eq!(back.calls, [CallRow { fell_back: false, retries: 0, ..batch.calls[0].clone() }]);
        assert!(Batch::from_bytes(&first[..first.len() - 1]).is_none());
    }

    #[test]
    fn bytes_that_are_no_batch_are_told() {
        let bytes = batch().to_bytes();
        for cut in 0..bytes.len() {
            assert!(Batch::from_bytes(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(Batch::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
        assert!(Batch::from_bytes(&[9, 0, 0, 0, 0, 0]).is_none());
    }
}
