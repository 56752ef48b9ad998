//! Statistics: what calls add is made durable first and added to minutes, hours and days then; read as sums whose cost
//! depends on the range and the number of series, never on the number of calls.

#[macro_use]
mod columns;
pub(crate) mod bytes;
#[macro_use]
mod cover;
mod fold;
mod histogram;
mod merge;
mod old;
mod packet;
mod pairs;
mod parts;
mod read;
mod strip;
mod sums;
mod write;

pub use cover::{Level, Piece, cover};
pub use fold::{Folded, Packet};
pub use histogram::{BOUNDS_MS, BUCKETS, Histogram};
pub use merge::Together;
pub(crate) use pairs::Pairs;
pub(crate) use parts::{Newest, Parts};
pub use read::{HistogramPoint, Point};
pub use sums::Sum;
pub use write::{Batch, CallDelta, Peak};

/// Which calls a series counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// Whose.
    pub account: String,
    /// Limited, batch, or stopped before the limiter.
    pub lane: Lane,
    /// Of which workspace; empty for all together.
    pub workspace: String,
    /// Of which model; empty for all together, and where a call was stopped before its model was known.
    pub model: String,
}

/// What kind of calls a series counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Calls that reached the limiter.
    Limited,
    /// Calls that are exempt from limits.
    Batch,
    /// Calls stopped before the limiter: only their number is kept.
    Stopped,
}

impl Lane {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Batch => "batch",
            Self::Stopped => "stopped",
        }
    }

    /// The lane that a word in a table stands for.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Limited, Self::Batch, Self::Stopped].into_iter().find(|it| it.as_str() == word)
    }
}

macro_rules! figures {
    ([] $($(#[$doc:meta])* $name:ident;)*) => {
        /// What is counted of calls.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures { $($(#[$doc])* pub $name: i64),* }

        impl Figures {
            /// Adds another one's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }

            /// How many there are.
            pub(crate) const COUNT: usize = [$(stringify!($name)),*].len();

            /// Every figure in the order of the columns.
            pub(crate) fn values(&self) -> impl Iterator<Item = i64> + Clone {
                [$(self.$name),*].into_iter()
            }

            /// Every figure from that order.
            pub(crate) const fn of(values: [i64; Self::COUNT]) -> Self {
                let [$($name),*] = values;
                Self { $($name),* }
            }

            /// Every figure in that order, to be changed.
            pub(crate) fn slots(&mut self) -> [&mut i64; Self::COUNT] {
                [$(&mut self.$name),*]
            }

            /// The figure of one column.
            pub(crate) fn slot(&mut self, column: usize) -> Option<&mut i64> {
                self.slots().into_iter().nth(column)
            }
        }
    };
}
for_figures!(figures);

impl Figures {
    /// Calls refused by a limit.
    pub const fn refused(&self) -> i64 {
        self.refused_requests + self.refused_tokens + self.refused_surge
    }

    /// Calls that reached the limiter and did not end well; those that the client ended are not among them.
    pub const fn failed(&self) -> i64 {
        self.refused() + self.upstream_4xx + self.upstream_5xx + self.unreachable + self.broken + self.timed_out
    }
}

pub(crate) const READ: &[crate::Statement] = read::STATEMENTS;
pub(crate) const WRITE: &[crate::Statement] = write::STATEMENTS;
pub(crate) const SUMS: &[crate::Statement] = sums::STATEMENTS;
pub(crate) const FOLD: &[crate::Statement] = fold::STATEMENTS;
pub(crate) const MERGE: &[crate::Statement] = merge::STATEMENTS;
pub(crate) const PAIRS: &[crate::Statement] = pairs::STATEMENTS;
pub(crate) const PARTS: &[crate::Statement] = parts::STATEMENTS;
pub(crate) const OLD: &[crate::Statement] = old::STATEMENTS;
