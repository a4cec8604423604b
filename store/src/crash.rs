//! Points at which the tests kill the process, to see what the next one makes of what it finds.
//!
//! Without the feature `failpoints` (that is, in every release) they compile to nothing. With it, the
//! environment variable `FAILPOINTS` names the one that strikes, for example
//! `purge-chunk-committed=2*off->return`: the third passage aborts the process, as `kill -9` would.
//!
//! Every transaction of this crate ends in `commit`, or is one `statement`, which have a point before it
//! and one behind it, so that none can be without them; a test below finds one that is. To add a
//! transaction, add its name to [`Commit`]; the crash tests then demand a scene that passes it.

use std::future::Future;

use sqlx::{Postgres, Transaction};

macro_rules! commits {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// What is committed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Commit {
            $($(#[$doc])* $variant,)+
        }

        impl Commit {
            /// Every commit there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The point before it: nothing of the transaction has happened.
            pub const fn before(self) -> &'static str {
                match self { $(Self::$variant => concat!($name, "-commit"),)+ }
            }

            /// The point behind it: everything of the transaction has happened, and nobody was told.
            pub const fn after(self) -> &'static str {
                match self { $(Self::$variant => concat!($name, "-committed"),)+ }
            }
        }
    };
}

commits! {
    /// A correction of a balance.
    Adjust = "adjust",
    /// A large enrolment, with the whole of its money reserved.
    BeginEnrolment = "begin-enrolment",
    /// A removal of many, with whom it removes.
    BeginRemoval = "begin-removal",
    /// A new account.
    CreateAccount = "create-account",
    /// A new route.
    CreateRoute = "create-route",
    /// A new workflow.
    CreateWorkflow = "create-workflow",
    /// A deletion's fence, with the end of the content.
    DeleteWorkflow = "delete-workflow",
    /// A change of a workflow.
    EditWorkflow = "edit-workflow",
    /// The end of a large enrolment, with the rest of its money.
    EndEnrolment = "end-enrolment",
    /// A chunk of an enrolment.
    EnrollChunk = "enroll-chunk",
    /// A batch of settled hand-overs.
    FinishAttempts = "finish-attempts",
    /// A batch of deliveries that end or wait without a hand-over.
    GiveUp = "give-up",
    /// An import of contacts.
    ImportContacts = "import-contacts",
    /// A version of a plugin that comes into force.
    InstallPlugin = "install-plugin",
    /// A workflow's move to another place.
    MoveWorkflow = "move-workflow",
    /// The note that a contact has opted out.
    OptOut = "opt-out",
    /// A route that is paused.
    PauseRoute = "pause-route",
    /// A paused route that runs again.
    ReopenRoute = "reopen-route",
    /// A chunk of deliveries that had waited for a paused route.
    WakeWaiting = "wake-waiting",
    /// A pause's fence.
    PauseWorkflow = "pause-workflow",
    /// A batch of deliveries that wait while their route is halted.
    Postpone = "postpone",
    /// A chunk of a purge.
    PurgeChunk = "purge-chunk",
    /// What an audit found.
    RecordBreaks = "record-breaks",
    /// A batch of messages from contacts, with the note on those who have opted out by them.
    ReceiveInbound = "receive-inbound",
    /// A batch of what carriers have said afterwards.
    RecordReceipts = "record-receipts",
    /// What a worker made of a plugin's version.
    RecordPluginLoad = "record-plugin-load",
    /// A batch of lines that plugins logged.
    WritePluginLog = "write-plugin-log",
    /// A plugin that goes out of force.
    RemovePlugin = "remove-plugin",
    /// The end of one contact's enrollment.
    RemoveContact = "remove-contact",
    /// A batch of marks for requests that are made again under their keys.
    RepeatAttempts = "repeat-attempts",
    /// A chunk of failed deliveries that are tried again.
    Requeue = "requeue-chunk",
    /// A batch of decisions about unknown deliveries.
    ResolveUnknown = "resolve-unknown",
    /// The settlement of what an audit found.
    SettleBreak = "settle-break",
    /// A batch of marks.
    StartAttempts = "start-attempts",
    /// A message beside all workflows that its sender's throttle lets through.
    TakeTurn = "take-turn",
    /// A payment.
    TopUp = "top-up",
    /// A change of a route.
    UpdateRoute = "update-route",
    /// A worker's registration.
    RegisterWorker = "register-worker",
    /// A worker's heartbeat.
    Heartbeat = "heartbeat",
    /// A worker's goodbye.
    DeregisterWorker = "deregister-worker",
    /// A batch of tickets that a worker takes.
    ClaimTickets = "claim-tickets",
    /// A batch of tickets that were handled.
    AcknowledgeTickets = "acknowledge-tickets",
    /// A batch of tickets that are given back, since nothing was begun with them.
    ReleaseTickets = "release-tickets",
    /// The burial of a worker that is gone.
    BuryWorker = "bury-worker",
    /// A batch of hand-overs of a gone worker, which become unknown.
    OrphanAttempts = "orphan-attempts",
    /// A batch of a gone worker's tickets, back in the queue.
    ReturnTickets = "return-tickets",
    /// A batch of tickets in the place of lost ones.
    IssueTickets = "issue-tickets",
    /// A batch of tickets that outlived their deliveries.
    DeleteStrays = "delete-strays",
    /// A worker's note that it has halted a route, or halts it for longer.
    HaltRoute = "halt-route",
    /// A worker's note that it hands over to a route again.
    ResumeRoute = "resume-route",
    /// Inquiries about unknown deliveries that a worker takes on.
    ClaimInquiries = "claim-inquiries",
    /// An inquiry that is put off because it said nothing.
    PostponeInquiry = "postpone-inquiry",
    /// Inquiries about deliveries that somebody has decided about.
    ForgetInquiries = "forget-inquiries",
    /// How often tickets count as claimed when they may have killed their worker.
    CountClaims = "count-claims",
}

/// Aborts the process here when `FAILPOINTS` says so.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Aborts the process here when `FAILPOINTS` names this subject, as in `handle=return(17)`: one thing of
/// many, whose handling kills whoever handles it.
#[inline]
pub fn point_of(name: &str, subject: impl std::fmt::Display) {
    #[cfg(feature = "failpoints")]
    fail::eval(name, |named: Option<String>| {
        if named == Some(subject.to_string()) {
            std::process::abort()
        }
    });
    #[cfg(not(feature = "failpoints"))]
    let _ = (name, subject);
}

/// Reads `FAILPOINTS`, once, when the process starts. Without the feature there is nothing to read.
pub fn arm() {
    #[cfg(feature = "failpoints")]
    {
        // The scenario disarms the points when it is dropped; they are to last as long as the process.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Commits. The only place in this crate that does, apart from what is one [`statement`].
pub(crate) async fn commit(tx: Transaction<'_, Postgres>, what: Commit) -> Result<(), sqlx::Error> {
    statement(what, tx.commit()).await
}

/// Runs a statement that is a transaction by itself.
pub(crate) async fn statement<T>(
    what: Commit,
    run: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    point(what.before());
    let done = run.await?;
    point(what.after());
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::Commit;

    /// The Rust files below a directory, apart from this one.
    fn sources(directory: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with(Path::new(file!()).file_name().unwrap())
            {
                found.push(path);
            }
        }
        found
    }

    #[test]
    fn every_commit_has_its_points() {
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains(".commit()"),
                "{} commits without crash points; use `crash::commit`",
                path.display()
            );
            let alone = text.split(".execute(pool)").skip(1);
            assert!(
                alone.into_iter().all(|rest| !rest.trim_start().starts_with(".await")),
                "{} changes something without crash points; use `crash::statement`",
                path.display()
            );
            for part in text.split("Commit::").skip(1) {
                let name = part.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                *used.entry(name.to_owned()).or_default() += 1;
            }
        }
        let known: BTreeMap<String, usize> =
            Commit::ALL.iter().map(|commit| (format!("{commit:?}"), 1)).collect();
        assert_eq!(used, known, "each commit of the list stands in one place");
    }
}
