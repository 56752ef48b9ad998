//! Statistics: written as deltas into minute, hour and day rows at once, read as sums whose cost depends on the range
//! and the number of series, never on the number of calls.

#[macro_use]
mod columns;
mod cover;
mod histogram;
mod read;
mod text;
mod write;

pub use cover::{Level, Piece, cover};
pub use histogram::{BOUNDS_MS, BUCKETS, Histogram};
pub use read::{HistogramPoint, Point, Sum};
pub use write::{Batch, CallDelta, Peak};

use sqlx::FromRow;

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
}

macro_rules! figures {
    ([] $($(#[$doc:meta])* $name:ident;)*) => {
        /// What is counted of calls.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRow)]
        pub struct Figures { $($(#[$doc])* pub $name: i64),* }

        impl Figures {
            /// Adds another one's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }

            /// Every figure in the order of the columns.
            pub(crate) fn values(&self) -> impl Iterator<Item = i64> {
                [$(self.$name),*].into_iter()
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

pub(crate) const STATEMENTS: &[crate::Statement] = &{
    let mut all = [("", ""); read::STATEMENTS.len() + write::STATEMENTS.len()];
    let mut i = 0;
    while i < read::STATEMENTS.len() {
        all[i] = read::STATEMENTS[i];
        i += 1;
    }
    while i < all.len() {
        all[i] = write::STATEMENTS[i - read::STATEMENTS.len()];
        i += 1;
    }
    all
};
