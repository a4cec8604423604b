//! The embedded Postgres, for async programs.
//!
//! The crate `dripline-embedded-postgres` does the work and blocks while it does; here it runs on
//! the runtime's threads for such work. That crate is separate because the build tool needs a server
//! to check this crate's queries against.

pub use dripline_embedded_postgres::{
    EmbeddedError, EmbeddedOptions, EmbeddedPostgres, Running, Status, Stopped, Throwaway,
    reachable_by_server_user,
};

/// [`EmbeddedPostgres::ensure_started`], off the async threads.
///
/// Dropping the future does not interrupt a start under way; the next call waits for it and finds its
/// server.
pub async fn ensure_started(options: EmbeddedOptions) -> Result<Running, EmbeddedError> {
    off_thread(move || EmbeddedPostgres::ensure_started(&options)).await
}

/// [`EmbeddedPostgres::stop`], off the async threads.
pub async fn stop(options: EmbeddedOptions) -> Result<Stopped, EmbeddedError> {
    off_thread(move || EmbeddedPostgres::stop(&options)).await
}

/// [`EmbeddedPostgres::status`], off the async threads.
pub async fn status(options: EmbeddedOptions) -> Result<Status, EmbeddedError> {
    off_thread(move || EmbeddedPostgres::status(&options)).await
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime cancels no blocking task that has begun, so what is left is a panic: pass it on.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
