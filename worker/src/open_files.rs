//! Room for the sockets: each message in flight may need a connection of its own.

use anyhow::bail;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: logs, plugins, the runtime's own, with room to spare.
const BESIDES: u64 = 64;

/// Lets this process open `connections` sockets beside its other files. Most systems start a process
/// with a soft limit of 1,024, for the sake of old programs, and let it raise that by itself.
///
/// Fails where even the hard limit is below: with too few files, messages would be given up as not
/// sendable one after the other.
pub fn make_room(connections: u64) -> anyhow::Result<()> {
    let needed = connections.saturating_add(BESIDES);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is `None`.
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(maximum) = maximum.filter(|maximum| *maximum < needed) {
        bail!(
            "this process may open {maximum} files, and these settings need {needed}: lower \
             `worker.concurrency`, or raise the limit (`ulimit -Hn`, systemd's `LimitNOFILE`)"
        );
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(needed)), maximum })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_system_allows_is_refused_with_the_way_out() {
        let Some(maximum) = getrlimit(Resource::Nofile).maximum else { return };
        let error = make_room(maximum).expect_err("that is more than there is").to_string();
        assert!(error.contains("lower `worker.concurrency`"), "{error}");
    }

    #[test]
    fn the_soft_limit_is_raised() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let low = Rlimit { current: Some(256), maximum };
        setrlimit(Resource::Nofile, low).expect("a limit can be lowered");
        make_room(400).expect("the hard limit is above");
        let Rlimit { current, .. } = getrlimit(Resource::Nofile);
        assert!(current.is_none_or(|current| current >= 464), "{current:?}");
    }
}
