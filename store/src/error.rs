//! What can go wrong between us and Postgres.

use crate::row;

/// A query or transaction that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres refused a statement or could not be reached.
    #[error("talk to the database")]
    Database(#[from] sqlx::Error),
    /// The queue library refused, or Postgres did below it.
    #[error("talk to the queue")]
    Queue(#[from] apalis_postgres::Error),
    /// A row holds something this version of Dripline does not know, which a constraint should
    /// have kept out.
    #[error("{table} `{key}` holds an unreadable {column}")]
    Unreadable {
        /// The table the row stands in.
        table: &'static str,
        /// The row's key.
        key: String,
        /// The column.
        column: &'static str,
    },
    /// The database has not answered for so long that its connection was given up.
    #[error("get an answer from the database within {} s", .waited.as_secs())]
    Unanswered {
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// Rows changed between being read and being written; the transaction was undone.
    #[error("keep up with concurrent changes")]
    Raced,
}

impl StoreError {
    /// The transaction was undone because of a deadlock, a serialization conflict or a race: running
    /// it again from its start is right and will likely succeed.
    ///
    /// One such race is a batch against its own first try, whose connection was lost and which the
    /// server still worked on: run again, it finds its work done.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Raced)
            || matches!(self.sql_state().as_deref(), Some("40P01" | "40001"))
            || self.breaks("a_batch_writes_one_entry_per_account_and_kind")
    }

    /// The connection was lost or never made, so that nobody knows whether a COMMIT under way took
    /// place. Running the operation again with the same batch id answers that.
    pub fn is_connection_lost(&self) -> bool {
        let Some(error) = self.database() else { return matches!(self, Self::Unanswered { .. }) };
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => true,
            // Class 57: the server is shutting down, crashed or starting. 08: connection lost. 25P03:
            // we, or our machine, were still for so long that the server ended the session.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                code.starts_with("57P") || code.starts_with("08") || code == "25P03"
            }),
            _ => false,
        }
    }

    /// Postgres answered that it cannot now, and undid what was begun: a lock or a statement took too
    /// long, or it ran out of connections, memory or disk. Later it may be able to.
    pub fn is_passing(&self) -> bool {
        self.sql_state().is_some_and(|code| {
            matches!(code.as_str(), "55P03" | "57014") || code.starts_with("53")
        })
    }

    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) | Self::Queue(apalis_postgres::Error::Database(error)) => {
                Some(error)
            }
            _ => None,
        }
    }

    fn breaks(&self, constraint: &str) -> bool {
        self.database().is_some_and(|error| row::breaks(error, constraint))
    }

    fn sql_state(&self) -> Option<String> {
        self.database()?.as_database_error()?.code().map(std::borrow::Cow::into_owned)
    }
}
