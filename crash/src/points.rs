//! The points of all programs.

use dripline_store::crash::Commit;

/// Every crash point that is declared: before and behind every commit, on the wire, and in the worker
/// between them.
pub fn all() -> Vec<&'static str> {
    let commits = Commit::ALL.iter().flat_map(|commit| [commit.before(), commit.after()]);
    let wire = dripline_plugin_host::crash::POINTS.iter().copied();
    let worker = dripline_worker::crash::POINTS.iter().copied();
    commits.chain(wire).chain(worker).collect()
}
