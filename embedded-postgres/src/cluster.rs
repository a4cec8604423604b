//! The data directory: creating it whole or not at all, and its settings.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::OFlags;

use crate::layout::{self, Layout};
use crate::{Binaries, Durability, EmbeddedError, EmbeddedOptions};

/// The database and the user (a superuser of this server) that Dripline connects as.
pub(crate) const DATABASE: &str = "dripline";

/// Names the socket when there is no TCP port.
pub(crate) const DEFAULT_PORT: u16 = 5432;

const SETTINGS_FILE: &str = "dripline.conf";

/// The major version that made the data directory; `None` if there is none.
pub(crate) fn major_version(layout: &Layout) -> Result<Option<u32>, EmbeddedError> {
    let path = layout.data_dir().join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().split('.').next().and_then(|major| major.parse().ok())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::io("read", path)(error)),
    }
}

pub(crate) fn is_initialised(layout: &Layout) -> bool {
    layout.data_dir().join("PG_VERSION").exists()
}

/// Creates the data directory with its user and its database. It grows up under another name, so that
/// an interrupted creation leaves nothing that looks like data.
pub(crate) fn initialise(
    options: &EmbeddedOptions,
    layout: &Layout,
    binaries: &Binaries,
) -> Result<(), EmbeddedError> {
    tracing::info!(directory = %layout.data_dir().display(), version = binaries.major, "creating the PostgreSQL data directory");
    let nursery = layout.nursery();
    layout.make_servers_directory(&nursery)?;
    let password = layout.create_password()?;
    run_initdb(options, layout, binaries, &password)?;
    append(
        &nursery.join("postgresql.conf"),
        &format!("\ninclude_if_exists = '{SETTINGS_FILE}'\n"),
    )?;
    write_settings_in(&nursery, options, layout)?;
    create_database(layout, binaries)?;
    fs::rename(&nursery, layout.data_dir()).map_err(EmbeddedError::io("move", &nursery))?;
    File::open(layout.directory())
        .and_then(|directory| directory.sync_all())
        .map_err(EmbeddedError::io("sync", layout.directory()))
}

fn run_initdb(
    options: &EmbeddedOptions,
    layout: &Layout,
    binaries: &Binaries,
    password: &str,
) -> Result<(), EmbeddedError> {
    // A file, since arguments can be read by everybody on the machine. It is the server user's.
    let mut file = tempfile::Builder::new()
        .prefix("initdb-")
        .tempfile_in(layout.directory())
        .map_err(EmbeddedError::io("create a file in", layout.directory()))?;
    writeln!(file, "{password}").map_err(EmbeddedError::io("write", file.path()))?;
    layout.user().own(file.path())?;
    let mut command = layout.user().command(binaries.program("initdb"), layout.directory());
    command
        .arg("--pgdata")
        .arg(layout.nursery())
        .arg(format!("--username={DATABASE}"))
        .arg(pwfile_argument(file.path()))
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    match options.durability {
        Durability::Full => command.arg("--data-checksums"),
        Durability::Throwaway => command.arg("--no-sync"),
    };
    checked("initdb", &mut command)?;
    Ok(())
}

fn pwfile_argument(path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--pwfile=");
    argument.push(path);
    argument
}

/// Creates the database in single-user mode: no port, no password, nobody else.
fn create_database(layout: &Layout, binaries: &Binaries) -> Result<(), EmbeddedError> {
    let mut command = layout.user().command(binaries.program("postgres"), layout.directory());
    command
        .args(["--single", "-D"])
        .arg(layout.nursery())
        .args(["-c", "exit_on_error=on", "-c", "logging_collector=off", "postgres"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let failed = || EmbeddedError::io("run", binaries.program("postgres"));
    let mut child = command.spawn().map_err(failed())?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "CREATE DATABASE {DATABASE}").map_err(failed())?;
    }
    let output = child.wait_with_output().map_err(failed())?;
    checked_output("postgres", output)?;
    Ok(())
}

/// Writes the settings for the next start.
pub(crate) fn write_settings(
    options: &EmbeddedOptions,
    layout: &Layout,
) -> Result<(), EmbeddedError> {
    write_settings_in(&layout.data_dir(), options, layout)
}

fn write_settings_in(
    data_dir: &Path,
    options: &EmbeddedOptions,
    layout: &Layout,
) -> Result<(), EmbeddedError> {
    let path = data_dir.join(SETTINGS_FILE);
    layout::write_private(&path, &settings(options, layout))?;
    layout.user().own(&path)
}

fn settings(options: &EmbeddedOptions, layout: &Layout) -> String {
    let mut text = String::from(
        "# Written at every start by Dripline. To keep a setting of your own, use ALTER SYSTEM.\n",
    );
    let mut set = |name: &str, value: &str| {
        writeln!(text, "{name} = '{}'", value.replace('\'', "''"))
            .expect("a String takes any text");
    };
    // The list of socket directories is split at commas, so the one path is quoted in it.
    let quoted = |path: &Path| format!("\"{}\"", path.display().to_string().replace('"', "\"\""));
    set("unix_socket_directories", &quoted(layout.socket_dir()));
    set("unix_socket_permissions", "0700");
    set("listen_addresses", if options.port.is_some() { "127.0.0.1" } else { "" });
    set("port", &options.port.unwrap_or(DEFAULT_PORT).to_string());
    set("password_encryption", "scram-sha-256");
    set("max_connections", &options.max_connections.to_string());
    set("shared_buffers", &format!("{}MB", options.shared_buffers_mib));
    set("max_wal_size", "2GB");
    set("wal_compression", "on");
    set("synchronous_commit", "on");
    set("jit", "off");
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    let durable = options.durability == Durability::Full;
    for name in ["fsync", "full_page_writes"] {
        set(name, if durable { "on" } else { "off" });
    }
    // One file for each weekday, overwritten a week later: the log stays bounded by itself.
    set("logging_collector", if durable { "on" } else { "off" });
    set("log_directory", "../log");
    set("log_filename", "server-%a.log");
    set("log_truncate_on_rotation", "on");
    set("log_rotation_age", "1d");
    set("log_rotation_size", "0");
    set("log_line_prefix", "%m [%p] %q%a ");
    set("log_checkpoints", "off");
    // The details of an error quote rows, and with them phone numbers.
    set("log_error_verbosity", "terse");
    for (name, value) in &options.settings {
        set(name, value);
    }
    text
}

fn append(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    OpenOptions::new()
        .append(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(EmbeddedError::io("write", path))
}

/// Runs one of PostgreSQL's programs to its end; a failure carries the end of what it said.
pub(crate) fn checked(
    program: &'static str,
    command: &mut Command,
) -> Result<Output, EmbeddedError> {
    let output = command.output().map_err(EmbeddedError::io("run", command.get_program()))?;
    checked_output(program, output)
}

fn checked_output(program: &'static str, output: Output) -> Result<Output, EmbeddedError> {
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    Err(EmbeddedError::ProgramFailed {
        program,
        status: output.status,
        output: last_lines(&String::from_utf8_lossy(&said), 8),
    })
}

/// The last `count` lines of a program's output, on one line.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}
