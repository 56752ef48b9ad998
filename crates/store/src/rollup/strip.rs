//! What one series counted in times that are over, in one value for the next longer time: the sixty minutes of an hour, the
//! hours of a day. A chart is drawn of thousands of them, and a row costs more to read than what is in it.

use std::collections::BTreeMap;

use super::{
    Level,
    bytes::{Bytes, Reading},
    parts::{Cell, damaged},
};
use crate::Result;

/// Rows of these lengths are kept in strips; days stay alone.
pub(super) const KEPT: [Level; 2] = [Level::Minute, Level::Hour];

/// The time that one strip of `level` is of.
pub(super) const fn unit(level: Level) -> Level {
    match level {
        Level::Minute => Level::Hour,
        Level::Hour | Level::Day => Level::Day,
    }
}

/// The strip that begins at `at_ms`, of cells by their instants.
pub(super) fn pack(level: Level, at_ms: i64, cells: &BTreeMap<i64, Cell>) -> Vec<u8> {
    let mut strip = Bytes::default();
    let mut before_ms = at_ms;
    for (&cell_ms, cell) in cells {
        let body = cell.pack(cell_ms);
        strip.number((cell_ms - before_ms) / level.ms());
        strip.length(body.len());
        strip.0.extend(body);
        before_ms = cell_ms;
    }
    strip.0
}

/// Hands each cell whose instant is `wanted` to `take`, packed, after that instant.
pub(super) fn unpack(
    level: Level,
    at_ms: i64,
    strip: &[u8],
    wanted: impl Fn(i64) -> bool,
    mut take: impl FnMut(i64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut from = Reading(strip);
    let mut cell_ms = at_ms;
    while !from.is_empty() {
        let distance_ms = from.number().and_then(|it| it.checked_mul(level.ms()));
        cell_ms = distance_ms.and_then(|it| cell_ms.checked_add(it)).ok_or_else(damaged)?;
        let body = from.length().and_then(|it| from.bytes(it)).ok_or_else(damaged)?;
        if wanted(cell_ms) {
            take(cell_ms, body)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Figures;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_strip_is_told() {
        let mut strip = Bytes::default();
        strip.number(i64::MAX);
        strip.length(0);
        assert!(unpack(Level::Minute, 60_000, &strip.0, |_| true, |_, _| Ok(())).is_err());
    }

    proptest! {
        #[test]
        fn a_strip_gives_back_the_cells_of_a_range(
            counts in prop::collection::btree_map(0..60_i64, 1..1_000_i64, 0..60),
            from in -5..65_i64,
            length in 0..70_i64,
        ) {
            let minute = Level::Minute.ms();
            let at_ms = 7 * Level::Hour.ms();
            let cell = |(&at, &calls): (&i64, &i64)| {
                let first_at_ms = at_ms + at * minute + calls;
                let figures = Figures { calls, ..Figures::default() };
                (at_ms + at * minute, Cell { first_at_ms, figures, latency: Default::default(), ttft: Default::default() })
            };
            let cells: BTreeMap<i64, Cell> = counts.iter().map(cell).collect();
            let range = at_ms + from * minute..at_ms + (from + length) * minute;
            let strip = pack(Level::Minute, at_ms, &cells);
            let mut back = BTreeMap::new();
            unpack(Level::Minute, at_ms, &strip, |at| range.contains(&at), |at_ms, body| {
                back.insert(at_ms, Cell::unpack(at_ms, body)?);
                Ok(())
            }).unwrap();
            let expected: BTreeMap<i64, Cell> = cells.range(range.clone()).map(|(at, it)| (*at, *it)).collect();
            prop_assert_eq!(back, expected);
            if let Some((_, cut)) = strip.split_last() {
                prop_assert!(unpack(Level::Minute, at_ms, cut, |_| true, |_, _| Ok(())).is_err());
            }
        }
    }
}
