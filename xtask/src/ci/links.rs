//! Links between the pages of the repository.

use anyhow::{Context, bail};

use crate::process::Program;
use crate::say;
use crate::workspace::Workspace;

/// Checks that every relative link in a committed Markdown page leads to something.
pub(super) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let pages = Program::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"])
        .in_directory(workspace.root())
        .capture()?;
    let mut broken = Vec::new();
    for page in pages.lines() {
        let path = workspace.path(page);
        if !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("read `{page}`"))?;
        let folder = path.parent().unwrap_or(workspace.root());
        for link in relative_links(&text) {
            if !folder.join(link).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n{}", broken.join("\n"));
    }
    say::line(&format!("{} pages, every relative link leads somewhere", pages.lines().count()));
    Ok(())
}

/// The targets of `[text](target)` that name files, without their fragments.
fn relative_links(text: &str) -> Vec<&str> {
    text.match_indices("](")
        .filter_map(|(at, opening)| text[at + opening.len()..].split([')', ' ', '\n']).next())
        .filter(|target| !target.contains(':') && !target.starts_with('#') && !target.is_empty())
        .filter_map(|target| target.split('#').next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found() {
        let text =
            "[a](docs/a.md) [b](https://b.example) [c](#part) [d](d.md#part \"title\") x[0](1";
        assert_eq!(relative_links(text), ["docs/a.md", "d.md", "1"]);
    }
}
