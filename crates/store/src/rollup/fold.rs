//! From a flush to the roll-ups in two steps: ten times a second a packet is made durable, once a second what waits is
//! added up. A packet is counted once, however often it is handed in and whoever adds it up.

use std::collections::BTreeSet;

use sqlx::FromRow;

use super::{Batch, packet};
use crate::{Result, Store, usage::UsageFlush};

statements! {
    // A commit whose answer was lost may have happened: then the number is known, and the rest is left out.
    ADVANCE = "insert into flush_writer (writer, seq, at_ms)
        values ($1, $2, $3)
        on conflict (writer) do update
        set seq = excluded.seq, at_ms = excluded.at_ms
        where flush_writer.seq < excluded.seq";
    ADD_PENDING = "insert into flush_pending (writer, seq, at_ms, body) values ($1, $2, $3, $4)";
    // What a later version wrote, which its first byte tells, waits for that version and keeps nobody up.
    PENDING = "select writer, seq, body
        from flush_pending
        where (writer = $1 or at_ms < $2) and substr(body, 1, 1) <= $3 and (writer > $4 or (writer = $4 and seq > $5))
        order by writer, seq
        limit $6";
    LATER_PENDING = "select count(*) from flush_pending where (writer = $1 or at_ms < $2) and substr(body, 1, 1) > $3";
    TAKE_PENDING = "delete from flush_pending where writer = $1 and seq >= $2 and seq <= $3 returning seq";
    FORGET_WRITERS = "delete from flush_writer where at_ms < $1";
}

/// Packets added up in one transaction.
const AT_ONCE: i64 = 200;

/// After this time a packet's own process is taken to be gone, and any other adds it up.
const ORPHANED_MS: i64 = 10_000;

/// One flush of one run of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The run.
    pub writer: String,
    /// Counts the run's flushes, from 1.
    pub seq: i64,
    /// When it was made.
    pub at_ms: i64,
    /// A [`Batch`] as bytes; empty if nothing was counted.
    pub body: Vec<u8>,
}

/// What is left after packets were added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Whether more may wait that can be added up.
    pub more: bool,
    /// Packets that cannot be read: damaged, or written by a later version of the program. They stay where they are.
    pub unreadable: u64,
}

#[derive(FromRow)]
struct Pending {
    writer: String,
    seq: i64,
    body: Vec<u8>,
}

impl Store {
    /// Makes packets and charges durable in one transaction, packets in the order of their numbers; what is known by its
    /// number, or by the instant of the charges, is left out.
    ///
    /// # Errors
    /// When the database cannot; the same packets can be handed in again, also when the commit's answer was lost.
    pub async fn append(&self, packets: &[Packet], usage: Option<&UsageFlush>) -> Result<()> {
        let mut tx = self.begin().await?;
        for packet in packets {
            let fresh = run!(tx, ADVANCE, &packet.writer, packet.seq, packet.at_ms)? > 0;
            if fresh && !packet.body.is_empty() {
                run!(tx, ADD_PENDING, &packet.writer, packet.seq, packet.at_ms, packet.body.as_slice())?;
            }
        }
        if let Some(usage) = usage {
            let charges = format!("{} charges", self.writer());
            if run!(tx, ADVANCE, charges, usage.beat.at_us, usage.beat.at_ms)? > 0 {
                tx.flush_usage(usage).await?;
            }
        }
        tx.commit().await
    }

    /// Adds what waits of the run `writer`, and of runs that are gone, to the roll-ups.
    ///
    /// # Errors
    /// When the database cannot; then everything waits as before.
    pub async fn fold(&self, writer: &str, now_ms: i64) -> Result<Folded> {
        // On SQLite there is one process: whatever others left is of runs that are gone.
        let orphaned_ms = if self.is_postgres() { now_ms - ORPHANED_MS } else { i64::MAX };
        let (waiting, folded) = self.waiting(writer, orphaned_ms).await?;
        if waiting.is_empty() {
            return Ok(folded);
        }
        for (batch, ..) in &waiting {
            self.number(&batch.deltas).await?;
        }
        let mut kept = self.parts().lock().await;
        // Taken: if this fails on the way, the next one reads anew what is committed.
        let mut parts = std::mem::take(&mut *kept);
        let mut tx = self.begin().await?;
        let mut taken = BTreeSet::new();
        // Without a gap: a packet that cannot be read stays where it is.
        for same in waiting.chunk_by(|a, b| a.1 == b.1 && a.2 + 1 == b.2) {
            let (Some((_, writer, first)), Some((.., last))) = (same.first(), same.last()) else { continue };
            // Whoever deletes it adds it up; another process that came at the same time waits here, and finds nothing.
            let seqs = all!(tx, (i64,), TAKE_PENDING, writer, first, last)?;
            taken.extend(seqs.into_iter().map(|(seq,)| (writer.clone(), seq)));
        }
        let mut all = Batch::default();
        for (batch, writer, seq) in waiting {
            if taken.contains(&(writer, seq)) {
                all.append(batch);
            }
        }
        self.add(&mut tx, &mut parts, &all, now_ms).await?;
        tx.commit().await?;
        parts.keep_latest();
        *kept = parts;
        Ok(folded)
    }

    /// Packets that can be read, and what is left beside them.
    async fn waiting(&self, writer: &str, orphaned_ms: i64) -> Result<(Vec<(Batch, String, i64)>, Folded)> {
        let version: &[u8] = &[packet::VERSION];
        let mut conn = self.read().await?;
        let later = scalar!(conn, i64, LATER_PENDING, writer, orphaned_ms, version)?;
        let mut folded = Folded { more: false, unreadable: u64::try_from(later).unwrap_or(0) };
        let mut waiting = Vec::new();
        let mut after = (String::new(), i64::MIN);
        loop {
            let page = all!(conn, Pending, PENDING, writer, orphaned_ms, version, &after.0, after.1, AT_ONCE)?;
            folded.more = page.len() == usize::try_from(AT_ONCE).unwrap_or(0);
            for Pending { writer, seq, body } in page {
                after = (writer.clone(), seq);
                match Batch::from_bytes(&body) {
                    Some(batch) => waiting.push((batch, writer, seq)),
                    None => folded.unreadable += 1,
                }
            }
            if !folded.more || !waiting.is_empty() {
                return Ok((waiting, folded));
            }
        }
    }

    /// Forgets the numbers of runs that ended before `before_ms`: packets of theirs can no longer be told from new ones.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn forget_writers(&self, before_ms: i64) -> Result<u64> {
        let mut tx = self.begin().await?;
        let forgotten = run!(tx, FORGET_WRITERS, before_ms)?;
        tx.commit().await?;
        Ok(forgotten)
    }
}

impl Batch {
    /// Adds everything that another packet has; packets have no usage.
    fn append(&mut self, other: Self) {
        // Named one by one, so that a field to come cannot be forgotten here.
        let Self { deltas, calls, gaps, keys_used, peaks, usage } = other;
        debug_assert!(usage.is_none(), "charges are made durable with a packet, not in it");
        self.deltas.extend(deltas);
        self.calls.extend(calls);
        self.gaps.extend(gaps);
        self.keys_used.extend(keys_used);
        self.peaks.extend(peaks);
    }
}
