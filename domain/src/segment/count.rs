//! Counting: filling segments with atoms, from the first to the last.

use unicode_segmentation::UnicodeSegmentation;

use super::gsm7::gsm7_septets;
use super::{Atom, Encoding, SegmentCount, SegmentRules};

pub(super) fn count(rules: &SegmentRules, text: &str) -> SegmentCount {
    let mut parts = Parts::new(rules.gsm7_multi);
    for (characters, (index, character)) in (0..).zip(text.char_indices()) {
        let Some(septets) = gsm7_septets(character) else {
            return count_ucs2(rules, text, index, characters);
        };
        parts.add(u32::from(septets));
    }
    parts.finish(Encoding::Gsm7, rules.gsm7_single)
}

/// Counts a text as UCS-2, also when it would fit in GSM-7.
pub(super) fn count_as_ucs2(rules: &SegmentRules, text: &str) -> SegmentCount {
    count_ucs2(rules, text, 0, 0)
}

/// Counts on in UCS-2 from the first character that is not GSM-7, at byte `index`. All before it
/// are one unit each, so where they end needs no second look at them.
fn count_ucs2(rules: &SegmentRules, text: &str, index: usize, characters: u32) -> SegmentCount {
    let mut parts = Parts::new(rules.ucs2_multi);
    match rules.atom {
        Atom::CodePoint => {
            parts.add_ones(characters);
            text[index..].chars().for_each(|character| parts.add(units(character)));
        }
        Atom::Grapheme => {
            // The character before may be the base of the first cluster.
            let begin = text[..index].char_indices().next_back().map_or(0, |(begin, _)| begin);
            parts.add_ones(characters.saturating_sub(1));
            text[begin..].graphemes(true).for_each(|cluster| parts.add_cluster(cluster));
        }
    }
    parts.finish(Encoding::Ucs2, rules.ucs2_single)
}

fn units(character: char) -> u32 {
    if (character as u32) < 0x1_0000 { 1 } else { 2 }
}

/// The parts of a long message while it is filled.
struct Parts {
    /// Units that one part holds.
    size: u32,
    /// Parts that are full.
    full: u32,
    /// Units in the part that is being filled.
    used: u32,
    /// Units in all.
    units: u32,
}

impl Parts {
    fn new(size: u16) -> Self {
        // Two is what any character fits in; see `SegmentRules::validate`.
        Self { size: u32::from(size).max(2), full: 0, used: 0, units: 0 }
    }

    /// Adds one atom, which moves to the next part whole when it does not fit.
    #[inline]
    fn add(&mut self, units: u32) {
        self.units += units;
        self.used += units;
        if self.used > self.size {
            self.full += 1;
            self.used = units;
        }
    }

    /// Adds atoms of one unit each to an empty message.
    fn add_ones(&mut self, atoms: u32) {
        self.units = atoms;
        // The last part counts as full only when something follows it.
        self.full = atoms.saturating_sub(1) / self.size;
        self.used = atoms - self.full * self.size;
    }

    fn add_cluster(&mut self, cluster: &str) {
        let cluster_units = cluster.chars().map(units).sum::<u32>();
        // A line's end is two characters to a phone, and a cluster larger than a part must be cut.
        if cluster == "\r\n" || cluster_units > self.size {
            cluster.chars().for_each(|character| self.add(units(character)));
        } else {
            self.add(cluster_units);
        }
    }

    fn finish(&self, encoding: Encoding, single: u16) -> SegmentCount {
        let segments = if self.units <= u32::from(single) { 1 } else { self.full + 1 };
        SegmentCount { encoding, segments, units: self.units }
    }
}
