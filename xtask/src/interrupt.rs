//! Ctrl-C and SIGTERM: end the programs that run for us, then ourselves, in order.
//!
//! The first signal is passed on to every program that was started; the step that waits for one then
//! fails, and the values on the way up stop what they own. A second signal ends at once; even then a
//! throwaway server goes, since its guard notices.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How a shell reports a program that was ended by Ctrl-C.
pub(crate) const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The programs that run in the foreground of a step, as process groups.
static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Begins to listen for signals.
pub(crate) fn install() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listen for signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                signal_groups(Signal::KILL);
                std::process::exit(EXIT_CODE.into());
            }
            signal_groups(Signal::TERM);
        }
    });
    Ok(())
}

/// Whether an end was asked for.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// Fails if an end was asked for. Called wherever a step begins.
pub(crate) fn check() -> anyhow::Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

/// A program that a signal is passed on to while this value lives.
#[derive(Debug)]
pub(crate) struct Registered(i32);

impl Registered {
    /// Registers the process group that `pid` leads.
    pub(crate) fn new(pid: u32) -> Self {
        let pid = pid.cast_signed();
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        if requested() {
            // The signal came between the start and this line.
            signal_groups(Signal::TERM);
        }
        Self(pid)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn signal_groups(signal: Signal) {
    for pid in GROUPS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if let Some(pid) = Pid::from_raw(*pid) {
            // It may have ended in this instant.
            let _ = kill_process_group(pid, signal);
        }
    }
}
