//! What a new plugin begins with.

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// It says what request would send a message, and what an answer means.
    Carrier,
    /// It turns a template and a contact's fields into a text.
    Renderer,
}

/// A file of the new folder.
pub(super) struct File {
    /// In the folder.
    pub(super) path: String,
    pub(super) text: String,
}

/// Files as they are, by their path in `plugins/`.
macro_rules! vendored {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../plugins/", $path)))),*]
    };
}

/// The SDK and the contract. They are part of this program, so that whoever has it can write plugins for
/// exactly the contract that it speaks.
const VENDORED: [(&str, &str); 26] = vendored![
    "sdk/Cargo.toml",
    "sdk/src/carrier.rs",
    "sdk/src/clock.rs",
    "sdk/src/codes.rs",
    "sdk/src/edge.rs",
    "sdk/src/encoding.rs",
    "sdk/src/http.rs",
    "sdk/src/lib.rs",
    "sdk/src/log.rs",
    "sdk/src/lookup.rs",
    "sdk/src/manifest.rs",
    "sdk/src/redact.rs",
    "sdk/src/renderer.rs",
    "sdk/src/settings.rs",
    "sdk/src/sign.rs",
    "sdk/src/testing.rs",
    "sdk/src/testing/carrier.rs",
    "sdk/src/testing/keyed.rs",
    "sdk/src/testing/lookup.rs",
    "sdk/src/testing/renderer.rs",
    "sdk/src/testing/token.rs",
    "sdk/src/testing/webhook.rs",
    "sdk/src/token.rs",
    "sdk/src/verify.rs",
    "sdk/src/webhook.rs",
    "wit/dripline.wit",
];

/// Files that every plugin begins with, and those of each kind. `{{name}}` is the plugin's name, `{{crate}}`
/// the same as a Rust crate.
const COMMON: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../../scaffold/Cargo.toml.in")),
    ("build.rs", include_str!("../../../scaffold/build.rs.in")),
    (".gitignore", include_str!("../../../scaffold/gitignore.in")),
];
const CARRIER: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../scaffold/carrier/README.md.in")),
    ("src/lib.rs", include_str!("../../../scaffold/carrier/lib.rs.in")),
    ("tests/cases.rs", include_str!("../../../scaffold/carrier/cases.rs.in")),
    ("cases/messages.toml", include_str!("../../../scaffold/carrier/messages.toml.in")),
];
const RENDERER: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../scaffold/renderer/README.md.in")),
    ("src/lib.rs", include_str!("../../../scaffold/renderer/lib.rs.in")),
    ("tests/cases.rs", include_str!("../../../scaffold/renderer/cases.rs.in")),
    ("cases/texts.toml", include_str!("../../../scaffold/renderer/texts.toml.in")),
];

/// Everything that a plugin of that kind and name begins with.
pub(super) fn files(kind: Kind, name: &str) -> Vec<File> {
    let own = match kind {
        Kind::Carrier => CARRIER,
        Kind::Renderer => RENDERER,
    };
    let fill =
        |text: &str| text.replace("{{name}}", name).replace("{{crate}}", &name.replace('-', "_"));
    let filled = COMMON
        .into_iter()
        .chain(own)
        .map(|(path, text)| File { path: path.to_owned(), text: fill(text) });
    let vendored = VENDORED
        .into_iter()
        .map(|(path, text)| File { path: format!("vendor/{path}"), text: text.to_owned() });
    filled.chain(vendored).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_whole_sdk_and_contract_are_written() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
        let mut found = BTreeSet::new();
        let mut folders = vec![plugins.join("sdk"), plugins.join("wit")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(&plugins).unwrap().to_owned());
                }
            }
        }
        let written = VENDORED.map(|(path, _)| Path::new(path).to_owned());
        assert_eq!(found, BTreeSet::from(written));
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for kind in [Kind::Carrier, Kind::Renderer] {
            for file in files(kind, "acme-sms") {
                let is_ours = !file.path.starts_with("vendor/");
                assert!(!is_ours || !file.text.contains("{{name}}"), "{}", file.path);
                assert!(!is_ours || !file.text.contains("{{crate}}"), "{}", file.path);
            }
        }
    }
}
