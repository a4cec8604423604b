//! What is played at each point.

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Create an account.
    CreateAccount,
    /// Put money in.
    TopUp,
    /// Correct a balance.
    Adjust,
    /// Create a route.
    CreateRoute,
    /// Change a route.
    UpdateRoute,
    /// Create a workflow.
    CreateWorkflow,
    /// Change a workflow.
    EditWorkflow,
    /// Give a workflow another place.
    MoveWorkflow,
    /// Import contacts.
    ImportContacts,
    /// Enrol everybody.
    Enroll,
    /// Pause the workflow.
    Pause,
    /// Delete the workflow.
    Delete,
    /// Take a contact out.
    Remove,
    /// Take everybody out in one operation.
    RemoveAll,
    /// Note that a contact wants to hear nothing more.
    OptOut,
    /// Say that messages of which nobody knows were sent.
    Resolve,
    /// Record what the carrier reports of messages of which nobody knows.
    Receive,
    /// Take the message by which a contact says that it wants to hear nothing more.
    ReceiveStop,
    /// Try once more what has failed.
    Requeue,
    /// Look for what is wrong, where something is.
    Audit,
    /// Settle what was found to be wrong.
    SettleBreak,
    /// Install a plugin.
    InstallPlugin,
    /// Remove a plugin.
    RemovePlugin,
    /// Pause the route.
    PauseRoute,
    /// Let the paused route run again.
    ResumeRoute,
    /// Send a message by hand over a throttled route.
    TestRoute,
}

impl Deed {
    /// Whether it is about people who are in the workflow.
    pub(crate) const fn finds_everybody_enrolled(self) -> bool {
        match self {
            Self::Pause
            | Self::Delete
            | Self::Remove
            | Self::RemoveAll
            | Self::OptOut
            | Self::Resolve
            | Self::Receive
            | Self::ReceiveStop
            | Self::Requeue => true,
            Self::CreateAccount
            | Self::TopUp
            | Self::Adjust
            | Self::CreateRoute
            | Self::UpdateRoute
            | Self::CreateWorkflow
            | Self::EditWorkflow
            | Self::MoveWorkflow
            | Self::ImportContacts
            | Self::Enroll
            | Self::Audit
            | Self::SettleBreak
            | Self::InstallPlugin
            | Self::RemovePlugin
            | Self::PauseRoute
            | Self::ResumeRoute
            | Self::TestRoute => false,
        }
    }
}

/// What is played. The program that dies is named last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Sixty people with three messages each; the worker that sends them.
    Traffic,
    /// The same, with a journal that is full after a few messages.
    SmallJournal,
    /// Messages that cannot be rendered; the worker that gives them up.
    GivingUp,
    /// Some people answer STOP, by their carrier, who have more to come from another workflow; the
    /// worker that hears it.
    Stop,
    /// Everything is sent; the worker, which is asked to stop.
    Goodbye,
    /// Tickets are claimed and nothing is begun; the worker, which is asked to stop.
    Unstarted,
    /// A worker was killed with its hands full; the next one, which buries it.
    Rescue,
    /// Due deliveries have lost their tickets; the worker that issues new ones.
    LostTickets,
    /// Thousands of tickets name nothing; the worker that deletes them.
    StrayTickets,
    /// The carrier cannot be reached; the worker that halts its route.
    Away,
    /// The same, and the carrier comes back; the worker that hands over to it again.
    Back,
    /// The answers of a carrier that keeps keys are lost; the worker that tells it again.
    Keyed,
    /// The answers of a carrier that can be asked are lost; the worker that asks it.
    Queried,
    /// All tickets have outlived two workers; the worker that handles them one at a time.
    Suspects,
    /// A worker died with outcomes in its journal; the next one, which settles them.
    Leftover,
    /// A plugin is installed; the worker that loads it.
    Installed,
    /// An operator's command, beside a worker at work where there is something to send.
    Operator(Deed),
    /// The same with more people than one chunk takes, and nothing to send yet.
    Crowd(Deed),
}

/// A scene, and the last passage of the point in it that is sure to come, counted from 0.
pub type Passages = (Scene, u32);

/// The passages of points that a message passes alone.
const MESSAGES: u32 = 60;
/// The passages of points that messages pass in batches.
const BATCHES: u32 = 3;

/// The scenes that pass the point. Empty: there is no such point.
pub fn scenes(point: &str) -> Vec<Passages> {
    use Deed::{
        Adjust, Audit, CreateAccount, CreateRoute, CreateWorkflow, Delete, EditWorkflow, Enroll,
        ImportContacts, InstallPlugin, MoveWorkflow, OptOut, Pause, PauseRoute, Receive,
        ReceiveStop, Remove, RemoveAll, RemovePlugin, Requeue, Resolve, ResumeRoute, SettleBreak,
        TestRoute, TopUp, UpdateRoute,
    };
    let of = |deed| vec![(Scene::Operator(deed), 0)];
    let commit = point.strip_suffix("-commit").or_else(|| point.strip_suffix("-committed"));
    match commit {
        Some("adjust") => return of(Adjust),
        Some("begin-enrolment" | "end-enrolment") => return vec![(Scene::Crowd(Enroll), 0)],
        Some("begin-removal") => {
            return vec![(Scene::Operator(RemoveAll), 0), (Scene::Crowd(RemoveAll), 0)];
        }
        Some("create-account") => return of(CreateAccount),
        Some("create-route") => return of(CreateRoute),
        Some("create-workflow") => return of(CreateWorkflow),
        Some("delete-workflow") => return of(Delete),
        Some("edit-workflow") => return of(EditWorkflow),
        Some("enroll-chunk") => {
            return vec![(Scene::Operator(Enroll), 0), (Scene::Crowd(Enroll), 1)];
        }
        Some("import-contacts") => return of(ImportContacts),
        Some("move-workflow") => return of(MoveWorkflow),
        Some("opt-out") => return of(OptOut),
        Some("pause-workflow") => return of(Pause),
        Some("purge-chunk") => {
            return vec![
                (Scene::Crowd(Pause), 1),
                (Scene::Crowd(Delete), 1),
                (Scene::Operator(Pause), 0),
                (Scene::Crowd(RemoveAll), 1),
            ];
        }
        Some("record-breaks") => return of(Audit),
        Some("record-receipts") => return of(Receive),
        Some("receive-inbound") => return of(ReceiveStop),
        Some("requeue-chunk") => return of(Requeue),
        Some("resolve-unknown") => {
            return vec![(Scene::Operator(Resolve), 0), (Scene::Queried, 0)];
        }
        Some("settle-break") => return of(SettleBreak),
        Some("install-plugin") => return of(InstallPlugin),
        Some("remove-plugin") => return of(RemovePlugin),
        Some("pause-route") => return of(PauseRoute),
        Some("reopen-route" | "wake-waiting") => return of(ResumeRoute),
        Some("record-plugin-load") => return vec![(Scene::Installed, 0)],
        // The carrier of that scene says something about each request.
        Some("write-plugin-log") => return vec![(Scene::Keyed, 0)],
        Some("halt-route" | "postpone") => return vec![(Scene::Away, 2)],
        Some("resume-route") => return vec![(Scene::Back, 0)],
        Some("claim-inquiries" | "forget-inquiries") => return vec![(Scene::Keyed, 2)],
        Some("repeat-attempts" | "postpone-inquiry") => return vec![(Scene::Keyed, 10)],
        Some("count-claims") => return vec![(Scene::Suspects, 5)],
        Some("remove-contact") => {
            return vec![
                (Scene::Operator(Remove), 0),
                (Scene::Operator(ReceiveStop), 0),
                (Scene::Stop, 1),
            ];
        }
        Some("take-turn") => return of(TestRoute),
        Some("top-up") => return of(TopUp),
        Some("update-route") => return of(UpdateRoute),
        Some("finish-attempts") => return vec![(Scene::Traffic, BATCHES), (Scene::Stop, 1)],
        Some("give-up") => return vec![(Scene::GivingUp, 1)],
        Some("start-attempts" | "claim-tickets" | "acknowledge-tickets") => {
            return vec![(Scene::Traffic, BATCHES)];
        }
        Some("heartbeat") => return vec![(Scene::Traffic, 2)],
        Some("deregister-worker") => return vec![(Scene::Goodbye, 0)],
        Some("release-tickets") => return vec![(Scene::Unstarted, 0)],
        Some("register-worker") => return vec![(Scene::Traffic, 0)],
        Some("bury-worker" | "orphan-attempts" | "return-tickets") => {
            return vec![(Scene::Rescue, 0)];
        }
        Some("issue-tickets") => return vec![(Scene::LostTickets, 0)],
        Some("delete-strays") => return vec![(Scene::StrayTickets, 0)],
        _ => {}
    }
    match point {
        "load-begin" | "load-done" | "journal-start-begin" | "journal-start-written" => {
            vec![(Scene::Traffic, BATCHES)]
        }
        "render-done"
        | "build-done"
        | "wire-begin"
        | "wire-bytes-written"
        | "wire-answer-begun"
        | "wire-answered"
        | "read-done"
        | "journal-end-begin"
        | "journal-end-written" => vec![(Scene::Traffic, MESSAGES)],
        "journal-compact-begin" | "journal-compacted" => vec![(Scene::SmallJournal, BATCHES)],
        "journal-close" => vec![(Scene::Goodbye, 0)],
        "journal-settle-begin" | "journal-settled" | "journal-removed" => {
            vec![(Scene::Leftover, 0)]
        }
        _ => Vec::new(),
    }
}
