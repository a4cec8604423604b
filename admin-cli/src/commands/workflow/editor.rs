//! The operator's own editor, on a copy of the workflow's file.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::failure::{self, Failure, refuse, usage};
use crate::source::Source;

/// A file that is being edited.
pub(super) struct Session {
    file: NamedTempFile,
    /// What the file held when it was last judged.
    last: String,
}

/// What the operator left in the file.
pub(super) enum Edited {
    /// Nothing new.
    Unchanged,
    /// Another text.
    Text(Source),
}

impl Session {
    /// Writes the copy. Refuses where nobody could edit it.
    pub(super) fn begin(text: &str) -> anyhow::Result<Self> {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(usage("there is no terminal to edit in")
                .hint("pass --file FILE with what the workflow shall be")
                .into());
        }
        let file = tempfile::Builder::new().prefix("dripline-").suffix(".toml").tempfile();
        let file = file.context("make a file to edit")?;
        std::fs::write(file.path(), text).context("write the file to edit")?;
        Ok(Self { file, last: text.to_owned() })
    }

    /// Opens the editor and waits for it to close.
    pub(super) fn edit(&mut self) -> anyhow::Result<Edited> {
        let editor = ["VISUAL", "EDITOR"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
            .unwrap_or_else(|| "vi".to_owned());
        // An editor's setting is a command line (`code --wait`), so the shell takes it apart. The
        // file's path is an argument of its own.
        let status = Command::new("sh")
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(self.file.path())
            .status()
            .with_context(|| format!("start the editor `{editor}`"))?;
        if !status.success() {
            return Err(refuse(format!(
                "the editor `{editor}` failed ({status}); nothing was changed"
            ))
            .into());
        }
        let path = self.file.path();
        let source = Source { name: "the edited file".to_owned(), ..Source::open(path)? };
        if source.text == self.last {
            return Ok(Edited::Unchanged);
        }
        self.last.clone_from(&source.text);
        Ok(Edited::Text(source))
    }

    /// Shows what is wrong and asks whether to open the editor again. Giving up keeps the text.
    pub(super) fn ask_to_go_on(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        failure::report(error, &mut io::stderr().lock());
        let again = dialoguer::Confirm::new()
            .with_prompt("Edit it again?")
            .default(true)
            .interact_opt()
            .context("ask whether to edit again")?;
        if again == Some(true) {
            return Ok(());
        }
        let kept = self.keep()?;
        Err(refuse("the workflow was not changed")
            .hint(format!("what you wrote is kept in {}", kept.display()))
            .into())
    }

    /// The failure of a change that was right in itself, with where its text is kept.
    pub(super) fn keep_after(&self, error: anyhow::Error) -> anyhow::Result<anyhow::Error> {
        let hint = format!("what you wrote is kept in {}", self.keep()?.display());
        Ok(match error.downcast::<Failure>() {
            Ok(failure) => failure.hint(hint).into(),
            Err(error) => error.context(hint),
        })
    }

    fn keep(&self) -> anyhow::Result<PathBuf> {
        let (_, path) = tempfile::Builder::new()
            .prefix("dripline-")
            .suffix(".toml")
            .tempfile()
            .and_then(|file| file.keep().map_err(|error| error.error))
            .context("keep what was written")?;
        std::fs::write(&path, &self.last).context("keep what was written")?;
        Ok(path)
    }
}
