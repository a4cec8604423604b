//! Seeds that found something once, kept so that they find it again if it comes back.

use anyhow::Context;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seed {
    pub(crate) seed: u64,
    pub(crate) minutes: f64,
}

/// The kept ones.
pub(crate) fn kept() -> anyhow::Result<Vec<Seed>> {
    read(include_str!("../seeds.txt"))
}

/// A line each: the seed, the minutes, and behind `#` what it found.
fn read(text: &str) -> anyhow::Result<Vec<Seed>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(read_line).collect()
}

fn read_line(line: &str) -> anyhow::Result<Seed> {
    let read = || {
        let (seed, minutes) = line.split_once(char::is_whitespace)?;
        Some(Seed { seed: seed.parse().ok()?, minutes: minutes.trim().parse().ok()? })
    };
    read().with_context(|| format!("`{line}` of the kept seeds is not a seed and its minutes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_seeds_can_be_read() {
        assert!(kept().is_ok());
        let read = read("# none\n\n 7 1.5 # found it\n").unwrap();
        assert_eq!(read, [Seed { seed: 7, minutes: 1.5 }]);
        assert!(super::read("seven 1").is_err());
    }
}
