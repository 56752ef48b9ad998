//! How a range of minutes is put together from days, hours and minutes: exactly, and from few rows.

use domain::TimeRange;

/// The length of a roll-up's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 60 s.
    Minute,
    /// 60 min, beginning at a full hour of UTC.
    Hour,
    /// 24 h of UTC.
    Day,
}

impl Level {
    /// Every level, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its length in milliseconds.
    pub const fn ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// The beginning of the row that holds `at_ms`.
    pub const fn floor(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.ms()) * self.ms()
    }

    const fn ceil(self, at_ms: i64) -> i64 {
        self.floor(at_ms + self.ms() - 1)
    }
}

/// Rows of one level in `[from_ms, to_ms)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which table.
    pub level: Level,
    /// Where its rows begin.
    pub from_ms: i64,
    /// Where they end.
    pub to_ms: i64,
}

/// The rows that make up `range` and nothing else. Nothing is recorded after `now_ms`, so a range that reaches it may
/// take the unfinished hour and day whole.
pub fn cover(range: TimeRange, now_ms: i64) -> Vec<Piece> {
    cover_in_steps(range, now_ms, Level::Day.ms())
}

/// The same from rows that lie within one of the steps of `step_ms`, counted from the epoch.
pub(super) fn cover_in_steps(range: TimeRange, now_ms: i64, step_ms: i64) -> Vec<Piece> {
    let coarsest = Level::ALL.into_iter().rev().find(|it| step_ms % it.ms() == 0).unwrap_or(Level::Minute);
    let to = if range.to_ms > now_ms { coarsest.ceil(range.to_ms) } else { range.to_ms };
    let mut pieces = Vec::with_capacity(5);
    split(coarsest, range.from_ms, to, &mut pieces);
    pieces
}

/// The ends of `pieces` of [`cover`] in the order that a statement of [`of_pieces`] has them; nothing lies between those of
/// a piece that there is not.
pub(super) fn ends(pieces: &[Piece]) -> [(i64, i64); 5] {
    let mut ends = [(0, 0); 5];
    let day = pieces.iter().position(|it| it.level == Level::Day);
    for (place, piece) in pieces.iter().enumerate() {
        let slot = match piece.level {
            Level::Minute => 0,
            Level::Hour => 1,
            Level::Day => 2,
        };
        // Minutes and hours lie on either side of what is longer.
        let slot = if ends[slot] == (0, 0) && day.is_none_or(|day| place <= day) { slot } else { 4 - slot };
        ends[slot] = (piece.from_ms, piece.to_ms);
    }
    ends
}

/// The rows of up to five pieces of a range in one statement: `$rows` says of what, and the placeholders are those of the
/// ends, as [`ends`] orders them.
macro_rules! of_pieces {
    ($rows:literal, $from1:literal $to1:literal, $from2:literal $to2:literal, $from3:literal $to3:literal,
        $from4:literal $to4:literal, $from5:literal $to5:literal) => {
        concat!(
            $rows,
            " and level_ms = 60000 and at_ms >= ",
            $from1,
            " and at_ms < ",
            $to1,
            " union all ",
            $rows,
            " and level_ms = 3600000 and at_ms >= ",
            $from2,
            " and at_ms < ",
            $to2,
            " union all ",
            $rows,
            " and level_ms = 86400000 and at_ms >= ",
            $from3,
            " and at_ms < ",
            $to3,
            " union all ",
            $rows,
            " and level_ms = 3600000 and at_ms >= ",
            $from4,
            " and at_ms < ",
            $to4,
            " union all ",
            $rows,
            " and level_ms = 60000 and at_ms >= ",
            $from5,
            " and at_ms < ",
            $to5
        )
    };
}

fn split(level: Level, from_ms: i64, to_ms: i64, pieces: &mut Vec<Piece>) {
    if from_ms >= to_ms {
        return;
    }
    let finer = match level {
        Level::Day => Level::Hour,
        Level::Hour => Level::Minute,
        Level::Minute => {
            pieces.push(Piece { level, from_ms, to_ms });
            return;
        }
    };
    let (first, last) = (level.ceil(from_ms), level.floor(to_ms));
    if first >= last {
        return split(finer, from_ms, to_ms, pieces);
    }
    split(finer, from_ms, first, pieces);
    pieces.push(Piece { level, from_ms: first, to_ms: last });
    split(finer, last, to_ms, pieces);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_follow_each_other_without_gap_and_are_few(from in 0i64..200_000, minutes in 1i64..100_000) {
            let range = TimeRange { from_ms: from * 60_000, to_ms: (from + minutes) * 60_000 };
            let pieces = cover(range, i64::MAX - 1);
            prop_assert_eq!(pieces[0].from_ms, range.from_ms);
            prop_assert_eq!(pieces[pieces.len() - 1].to_ms, range.to_ms);
            for pair in pieces.windows(2) {
                prop_assert_eq!(pair[0].to_ms, pair[1].from_ms);
            }
            let mut rows = 0;
            for piece in &pieces {
                prop_assert_eq!((piece.from_ms % piece.level.ms(), piece.to_ms % piece.level.ms()), (0, 0));
                rows += (piece.to_ms - piece.from_ms) / piece.level.ms();
            }
            prop_assert!(rows <= 2 * 59 + 2 * 23 + minutes / 1_440, "{rows} rows");
            let levels = [Level::Minute, Level::Hour, Level::Day, Level::Hour, Level::Minute];
            let ends = levels.into_iter().zip(ends(&pieces)).filter(|(_, it)| it.0 < it.1);
            let mut back: Vec<_> = ends.map(|(level, (from_ms, to_ms))| Piece { level, from_ms, to_ms }).collect();
            back.sort_by_key(|it| it.from_ms);
            prop_assert_eq!(back, pieces);
        }
    }

    #[test]
    fn a_range_that_ends_now_takes_the_unfinished_day_whole() {
        let now = 10 * Level::Day.ms() + 90 * 60_000 + 5;
        let pieces = cover(TimeRange::ending_now(1_440, now), now);
        assert_eq!(pieces.iter().map(|it| it.level).collect::<Vec<_>>(), [Level::Minute, Level::Hour, Level::Day]);
        assert!(cover(TimeRange::ending_now(60, now), now).len() <= 2);
    }
}
