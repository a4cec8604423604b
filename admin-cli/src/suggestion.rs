//! "Did you mean": the known name that is nearest to a wrong one.

/// The candidate most like `wrong`, when one is alike enough to be meant.
pub(crate) fn nearest<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .map(|(_, name)| name)
}

/// The hint after a name that is not there: the nearest one, or the command that lists them all.
pub(crate) fn hint<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    list_command: &str,
) -> String {
    match nearest(wrong, candidates) {
        Some(name) => format!("did you mean `{name}`? `{list_command}` lists them all"),
        None => format!("`{list_command}` lists what there is"),
    }
}
