//! Why the store could not answer. The text never shows SQL; the engine's own words are in `source()`.

/// A failure of the database, told so that people can act on it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address is of no known kind, or cannot be read.
    #[error("{address} is no database address: expected sqlite://PATH or postgres://…")]
    Address {
        /// The address, without its password.
        address: String,
    },
    /// The database could not be opened.
    #[error("cannot open the database {address}: {cause}")]
    Open {
        /// The address, without its password.
        address: String,
        /// What the engine or the file system said.
        cause: String,
    },
    /// The file that should be the database is damaged, or no database at all.
    #[error("cannot open the database {address}: {cause}")]
    Damaged {
        /// The address.
        address: String,
        /// What the engine said.
        cause: String,
    },
    /// The schema could not be brought to the present version.
    #[error("cannot migrate the database {address}: {cause}")]
    Migrate {
        /// The address, without its password.
        address: String,
        /// What went wrong.
        cause: String,
    },
    /// Something with that name exists already.
    #[error("that name is taken")]
    Duplicate(#[source] sqlx::Error),
    /// A row that others point to, or that points to nothing.
    #[error("something that this change refers to does not exist")]
    Reference(#[source] sqlx::Error),
    /// Another process held the database for too long.
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
    /// The database cannot be reached, is full, or cannot be written.
    #[error("the database cannot be used at the moment")]
    Unavailable(#[source] sqlx::Error),
    /// Anything else the engine said.
    #[error("the database refused an operation")]
    Refused(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether a unique name or key exists already.
    pub const fn is_duplicate(&self) -> bool {
        matches!(self, Self::Duplicate(_))
    }

    /// Whether a value that was read is none of those that are written.
    pub(crate) const fn is_damaged_row(&self) -> bool {
        matches!(self, Self::Refused(sqlx::Error::Decode(_)))
    }

    /// Whether it is the file that is wrong, so that no later attempt can succeed.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Unavailable(error) | Self::Refused(error) => is_damage(error),
            _ => false,
        }
    }
}

/// Whether SQLite says that a file is damaged or no database.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(sqlite_code(error), Some(CORRUPT | NOT_A_DATABASE))
}

/// Whether SQLite says that others hold what is asked for.
pub(crate) fn is_locked(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(BUSY)
}

/// Whether SQLite says that what was opened can only be read.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(READ_ONLY)
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READ_ONLY: u32 = 8;
const INPUT_OUTPUT: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

/// SQLite's primary code, which is the lowest byte of what it tells; `None` if it is not SQLite that speaks.
fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let told = error.as_database_error()?;
    told.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    told.code()?.parse::<u32>().ok().map(|it| it & 0xff)
}

/// What is to be done about an error that is not about rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Busy,
    Unavailable,
    Refused,
}

const fn of_sqlite(code: u32) -> Meaning {
    match code {
        BUSY | LOCKED => Meaning::Busy,
        READ_ONLY | INPUT_OUTPUT | CORRUPT | FULL | CANNOT_OPEN | NOT_A_DATABASE => Meaning::Unavailable,
        _ => Meaning::Refused,
    }
}

/// PostgreSQL's codes are five characters, of which the first two name the class.
fn of_postgres(code: &str) -> Meaning {
    match code {
        // Cancelled for its time, a lock that was not to be had, and two that wanted the same.
        "57014" | "55P03" | "40001" | "40P01" => Meaning::Busy,
        // Only reading is allowed there, as on a standby.
        "25006" => Meaning::Unavailable,
        // The connection, resources, an operator who intervenes, the system below it.
        _ if ["08", "53", "57", "58"].iter().any(|it| code.starts_with(it)) => Meaning::Unavailable,
        _ => Meaning::Refused,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::error::ErrorKind;
        let Some(told) = error.as_database_error() else {
            return match error {
                sqlx::Error::PoolTimedOut => Self::Busy(error),
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                    Self::Unavailable(error)
                }
                _ => Self::Refused(error),
            };
        };
        let meaning = match told.kind() {
            ErrorKind::UniqueViolation => return Self::Duplicate(error),
            ErrorKind::ForeignKeyViolation => return Self::Reference(error),
            _ => match sqlite_code(&error) {
                Some(code) => of_sqlite(code),
                None => told.code().map_or(Meaning::Refused, |it| of_postgres(&it)),
            },
        };
        match meaning {
            Meaning::Busy => Self::Busy(error),
            Meaning::Unavailable => Self::Unavailable(error),
            Meaning::Refused => Self::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_each_engine_mean_what_they_mean_there() {
        let busy = ["57014", "55P03", "40001", "40P01"];
        let unavailable = ["25006", "53100", "53300", "57P01", "57P03", "58030", "58P01", "08006", "08P01"];
        // The lowest byte of the first is 5, which is SQLite's busy; that of the second is 10.
        let refused = ["42501", "25098", "42P01", "22003", "23514"];
        for (codes, meaning) in
            [(&busy[..], Meaning::Busy), (&unavailable[..], Meaning::Unavailable), (&refused[..], Meaning::Refused)]
        {
            for code in codes {
                assert_eq!(of_postgres(code), meaning, "{code}");
            }
        }
        for (codes, meaning) in [
            (&[5, 6][..], Meaning::Busy),
            (&[8, 10, 11, 13, 14, 26][..], Meaning::Unavailable),
            (&[1, 19, 20, 25][..], Meaning::Refused),
        ] {
            for code in codes {
                assert_eq!(of_sqlite(*code), meaning, "{code}");
            }
        }
    }
}
