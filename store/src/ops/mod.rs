//! Use cases: one file, one transaction each. Each takes the pool, begins and commits.

mod adjust;
mod begin_enrolment;
mod books;
mod create_account;
mod create_route;
mod create_workflow;
mod delete_workflow;
mod edit_workflow;
mod end_enrolment;
mod enroll;
mod finish_attempts;
mod give_up;
mod given_reference;
mod hearing;
mod import_contacts;
mod install_plugin;
mod move_workflow;
mod opt_out;
mod pause_route;
mod pause_workflow;
mod postpone;
mod purge;
mod receive_inbound;
mod record_breaks;
mod record_receipt;
mod remove_contact;
mod remove_contacts;
mod remove_plugin;
mod repeat_attempts;
mod requeue;
mod resolve_unknown;
mod settle;
mod settle_break;
mod situation;
mod start_attempts;
mod take_turn;
mod top_up;
mod turns;
mod update_route;

pub(crate) use books::hold;

pub use adjust::{AdjustError, Adjustment, adjust};
pub use begin_enrolment::{Enrolment, NewEnrolment, begin_enrolment};
pub use create_account::{CreateAccountError, NewAccount, create_account};
pub use create_route::{CreateRouteError, FailoverNotFound, InvalidRoute, create_route};
pub use create_workflow::{CreateWorkflowError, CreatedWorkflow, RouteNotFound, create_workflow};
pub use delete_workflow::{delete_workflow, fence_deleted};
pub use edit_workflow::{ActiveWorkflow, Edit, EditWorkflowError, Edited, edit_workflow};
pub(crate) use end_enrolment::end_abandoned;
pub use end_enrolment::end_enrolment;
pub use enroll::{
    EnrollChunk, EnrollError, Enrolled, PricedContact, SkipReason, enroll, enroll_reserved,
};
pub use finish_attempts::{FinishRequest, Finished, finish_attempts};
pub use give_up::{GiveUp, GiveUpRequest, give_up};
pub use given_reference::{GivenKey, GivenReference};
pub use import_contacts::{ImportContactsError, Imported, import_contacts};
pub use install_plugin::{InstallPluginError, NewPluginVersion, install_plugin};
pub use move_workflow::{MoveWorkflowError, Moved, move_workflow};
pub use opt_out::opt_out;
pub use pause_route::{PausedRoute, pause_route, reopen_route};
pub use pause_workflow::{
    CloseWorkflowError, Closing, Fenced, Paused, fence_workflow, pause_workflow,
};
pub use postpone::{PostponeRequest, WaitsFor, postpone};
pub use purge::{PURGE_CHUNK, PurgeProgress, purge, purge_chunk};
pub use receive_inbound::{InboundMessage, Inbounded, receive_inbound};
pub use record_breaks::{RecordedBreaks, record_breaks};
pub use record_receipt::{Receipt, ReceiptOf, Received, record_receipts};
pub use remove_contact::{Removal, RemoveContactError, Removed, remove_contact};
pub use remove_contacts::{
    BegunRemoval, Removals, RemovedContacts, begin_removal, remove_contacts,
};
pub use remove_plugin::{RemovePluginError, remove_plugin};
pub use repeat_attempts::{Repeat, RepeatRequest, StaleRepeat, repeat_attempts};
pub use requeue::{RequeueChunk, Requeued, requeue};
pub use resolve_unknown::{Resolution, Resolved, resolve_unknown};
pub use settle_break::{BreakSettlement, SettleBreakError, SettledBy, settle_break};
pub use start_attempts::{
    StaleReason, Start, StartRequest, start_attempts, start_referenced_attempts,
};
pub use take_turn::take_turn;
pub use top_up::{Booked, TopUp, TopUpError, top_up};
pub use update_route::{UpdateRouteError, update_route};
