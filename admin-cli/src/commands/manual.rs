//! The manual, made from the same definitions that parse the command line.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output::Output;

/// `dripline markdown-help`: what `docs/cli.md` holds.
pub(crate) fn markdown(out: &mut Output) -> anyhow::Result<Exit> {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "# The `dripline` command\n\n<!-- Made by `dripline markdown-help`; a test keeps it fresh. -->\n\n",
    );
    write_about(&mut text, &root);
    let _ = writeln!(text, "{}\n", Exit::HELP);
    text.push_str(
        "Anything that spends, stops or deletes shows its plan and asks, with no as the default. `--yes` \
         skips the question, `--dry-run` stops after the plan; without a terminal and without `--yes` it \
         is refused with exit code 4.\n\n",
    );
    let is_global = |arg: &&Arg| arg.is_global_set();
    write_arguments(&mut text, "Options of every command", root.get_arguments().filter(is_global));
    for command in visible(&root) {
        write_command(&mut text, command, "dripline", 2);
    }
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    out.raw(text.as_bytes())?;
    Ok(Exit::Done)
}

/// `dripline man`.
pub(crate) fn man_page(out: &mut Output) -> anyhow::Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    out.raw(&page)?;
    Ok(Exit::Done)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

// Writing to a String cannot fail, so the results below are dropped.

fn write_command(text: &mut String, command: &Command, parent: &str, depth: usize) {
    let path = format!("{parent} {}", command.get_name());
    let _ = writeln!(text, "{} `{path}`\n", "#".repeat(depth));
    write_about(text, command);
    if visible(command).next().is_none() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let _ = writeln!(text, "```text\n{usage}\n```\n");
    }
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let (positional, options): (Vec<_>, Vec<_>) =
        command.get_arguments().filter(own).partition(|arg| arg.is_positional());
    write_arguments(text, "Arguments", positional.into_iter());
    write_arguments(text, "Options", options.into_iter());
    for sub in visible(command) {
        write_command(text, sub, &path, depth + 1);
    }
}

fn write_about(text: &mut String, command: &Command) {
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(text, "{}\n", sentence(about.to_string()));
    }
}

fn write_arguments<'a>(text: &mut String, heading: &str, arguments: impl Iterator<Item = &'a Arg>) {
    let mut arguments = arguments.peekable();
    if arguments.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "{heading}:\n");
    for argument in arguments {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        let help = sentence(help.map(ToString::to_string).unwrap_or_default());
        let _ = write!(text, "- `{}`: {}", spelling(argument), help.replace("\n\n", "\n\n  "));
        let values = argument.get_possible_values();
        if argument.get_action().takes_values() && !values.is_empty() {
            let names: Vec<_> = values.iter().map(|v| format!("`{}`", v.get_name())).collect();
            let _ = write!(text, " One of {}.", names.join(", "));
        }
        if let [default] = argument.get_default_values()
            && argument.get_action().takes_values()
        {
            let _ = write!(text, " Default: `{}`.", default.to_string_lossy());
        }
        if let Some(variable) = argument.get_env() {
            let _ = write!(text, " Environment: `{}`.", variable.to_string_lossy());
        }
        text.push('\n');
    }
    text.push('\n');
}

/// With the full stop that `--help` leaves out.
fn sentence(mut text: String) -> String {
    if text.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '`' | ')' | '>')) {
        text.push('.');
    }
    text
}

fn spelling(argument: &Arg) -> String {
    if argument.is_positional() {
        return argument.to_string();
    }
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let mut spelling = names.join(", ");
    if argument.get_action().takes_values() {
        for value in argument.get_value_names().unwrap_or_default() {
            let _ = write!(spelling, " <{value}>");
        }
    }
    spelling
}
