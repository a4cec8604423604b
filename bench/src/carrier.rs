//! The carrier simulator as the other end of the wire: a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::seed::CarrierAt;

const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
/// Where both ends look for the token. Its value guards nothing.
const TOKEN_VARIABLE: &str = "DRIPLINE_SIMULATOR_AUTH_TOKEN";
const TOKEN: &str = "bench-token-that-guards-nothing";

/// A running simulator, killed when dropped.
#[derive(Debug)]
pub(crate) struct Carrier {
    process: Child,
    at: CarrierAt,
    _directory: tempfile::TempDir,
}

impl Carrier {
    /// Starts the simulator that was built beside this program.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe()
            .context("find this program")?
            .with_file_name("dripline-carrier-simulator");
        let directory = tempfile::tempdir().context("create a directory for the carrier's log")?;
        let mut process = Command::new(&program)
            .arg("--log")
            .arg(directory.path().join("carrier.jsonl"))
            .args(["--account-sid", ACCOUNT_SID, "--exit-with-parent"])
            .env(TOKEN_VARIABLE, TOKEN)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("start {}; `cargo xtask bench` builds it", program.display())
            })?;
        let mut line = String::new();
        let output = process.stdout.take().context("read the simulator's output")?;
        BufReader::new(output).read_line(&mut line).context("read the simulator's address")?;
        let ready: Ready = serde_json::from_str(&line)
            .with_context(|| format!("read the simulator's address from `{}`", line.trim()))?;
        let secret = directory.path().join("token");
        write_secret(&secret)?;
        let at = CarrierAt {
            origin: format!("http://{}", ready.listening),
            account_sid: ACCOUNT_SID.to_owned(),
            auth_token: format!("file:{}", secret.display()),
        };
        Ok(Self { process, at, _directory: directory })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it is, and how to be let in.
    pub(crate) fn at(&self) -> &CarrierAt {
        &self.at
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(serde::Deserialize)]
struct Ready {
    listening: String,
}

fn write_secret(path: &std::path::Path) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .context("write the simulator's token")?;
    file.write_all(TOKEN.as_bytes()).context("write the simulator's token")
}
