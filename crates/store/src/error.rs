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
        match told.kind() {
            ErrorKind::UniqueViolation => Self::Duplicate(error),
            ErrorKind::ForeignKeyViolation => Self::Reference(error),
            _ => match told.code().as_deref() {
                // SQLite: primary codes in the lowest byte. PostgreSQL: classes of five characters.
                Some("57014" | "55P03" | "40001" | "40P01") => Self::Busy(error),
                Some(code) if code.starts_with("53") || code.starts_with("57") || code.starts_with("08") => {
                    Self::Unavailable(error)
                }
                Some(code) => match code.parse::<u32>().map(|it| it & 0xff) {
                    Ok(5 | 6) => Self::Busy(error),
                    // Read-only, I/O, corrupt, full, cannot open.
                    Ok(8 | 10 | 11 | 13 | 14) if code.len() < 5 => Self::Unavailable(error),
                    _ => Self::Refused(error),
                },
                None => Self::Refused(error),
            },
        }
    }
}
