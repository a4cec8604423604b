//! Names of people, as they are written and as people are called by them.

/// Forms of address and degrees that stand before a name, without their full stops.
const TITLES: [&str; 16] = [
    "dr", "frau", "herr", "madame", "mag", "miss", "mme", "monsieur", "mr", "mrs", "ms", "mx",
    "prof", "sig", "sr", "sra",
];

/// A name that somebody typed in capitals or without any, with capitals where names have them:
/// "ANNE-MARIE O'NEILL" is "Anne-Marie O'Neill". One that has both is left as it is: "van Gogh".
pub(crate) fn written(name: &str) -> String {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let has = |of: fn(char) -> bool| name.chars().any(of);
    if has(char::is_lowercase) && has(char::is_uppercase) {
        return name;
    }
    let mut written = String::with_capacity(name.len());
    let mut begins = true;
    for character in name.chars() {
        if begins {
            written.extend(character.to_uppercase());
        } else {
            written.extend(character.to_lowercase());
        }
        begins = !character.is_alphanumeric();
    }
    written
}

/// The name by which somebody is called: "Dr. Anne-Marie O'Neill" is "Anne-Marie", and so is "O'Neill,
/// Anne-Marie".
pub(crate) fn first(name: &str) -> String {
    parts(&written(name)).into_iter().next().unwrap_or_default()
}

/// The last name: "Dr. Anne-Marie O'Neill" is "O'Neill". A single name has none.
pub(crate) fn last(name: &str) -> String {
    let parts = parts(&written(name));
    if parts.len() < 2 { String::new() } else { parts.into_iter().next_back().unwrap_or_default() }
}

/// The words of a name in their order, without titles.
fn parts(name: &str) -> Vec<String> {
    let turned = match name.split_once(',') {
        Some((last, first)) => format!("{} {}", first.trim(), last.trim()),
        None => name.to_owned(),
    };
    let is_title =
        |word: &str| TITLES.contains(&word.trim_end_matches('.').to_lowercase().as_str());
    let words: Vec<&str> = turned.split_whitespace().collect();
    let begin = words.iter().position(|word| !is_title(word)).unwrap_or(0);
    words[begin..].iter().map(|word| (*word).to_owned()).collect()
}
