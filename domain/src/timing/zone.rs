//! Time zones by their IANA names.

use chrono_tz::{TZ_VARIANTS, Tz};

/// A name that the IANA time zone database does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not an IANA time zone{}", hint(.nearest.as_deref()))]
pub struct UnknownZone {
    /// What was written.
    pub name: String,
    /// The zone that was probably meant.
    pub nearest: Option<String>,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

/// Reads an IANA name such as `Europe/Rome`, in any case and with blanks for underscores.
pub fn parse_zone(name: &str) -> Result<Tz, UnknownZone> {
    let wanted = name.trim().replace(' ', "_");
    let same = |zone: &&Tz| zone.name().eq_ignore_ascii_case(&wanted);
    if let Ok(zone) = wanted.parse() {
        return Ok(zone);
    }
    TZ_VARIANTS
        .iter()
        .find(same)
        .copied()
        .ok_or_else(|| UnknownZone { name: name.to_owned(), nearest: nearest(&wanted) })
}

/// The known name that is most like `wanted`, if one is like it at all. A name's last part counts as
/// well, since people write `Rome` or `Europe/Milan`.
fn nearest(wanted: &str) -> Option<String> {
    let wanted = wanted.to_lowercase();
    TZ_VARIANTS
        .iter()
        .map(|zone| (likeness(&wanted, &zone.name().to_lowercase()), zone.name()))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .map(|(_, name)| name.to_owned())
}

fn likeness(wanted: &str, known: &str) -> f64 {
    let whole = strsim::normalized_damerau_levenshtein(wanted, known);
    let city = known.rsplit('/').next().unwrap_or(known);
    let wanted_city = wanted.rsplit('/').next().unwrap_or(wanted);
    // A little less, so that a name that is right as a whole wins.
    let last = strsim::normalized_damerau_levenshtein(wanted_city, city) * 0.95;
    whole.max(last)
}
