//! Enrollments in tables: where a contact is, and how it left.

use dripline_domain::delivery::DeliveryState;
use dripline_store::listing::enrollments::EnrollmentListing;

use crate::output::page::{Column, Page};
use crate::output::words::{time, time_or_dash};

/// `2 of 3`.
pub(crate) fn step(enrollment: &EnrollmentListing) -> String {
    format!("{} of {}", enrollment.position, enrollment.steps)
}

/// When the next message is due, or where the last one is.
pub(crate) fn next_message(enrollment: &EnrollmentListing) -> String {
    let step = &enrollment.step;
    match step.state {
        DeliveryState::Queued => format!("due {}", time(step.due_at)),
        state => state.to_string(),
    }
}

/// How contacts left: why, by whom, when, and what came back.
pub(crate) fn exits_table(exits: &[EnrollmentListing], page: &mut Page) {
    let columns = [
        Column::Number("ENROLLMENT"),
        Column::Text("WORKFLOW"),
        Column::Text("PHONE"),
        Column::Text("AT STEP"),
        Column::Text("LEFT BECAUSE"),
        Column::Text("BY"),
        Column::Text("WHEN"),
        Column::Number("SENT"),
        Column::Number("REFUNDED"),
        Column::Text("OPERATION"),
    ];
    let rows = exits.iter().map(|enrollment| {
        let exit = enrollment.exit.as_ref();
        vec![
            enrollment.enrollment_id.to_string(),
            enrollment.workflow.clone(),
            enrollment.phone.to_string(),
            step(enrollment),
            exit.map_or_else(|| "still in it".to_owned(), |exit| exit.cause.to_string()),
            exit.map(|exit| exit.by.clone()).unwrap_or_default(),
            time_or_dash(exit.map(|exit| exit.at)),
            enrollment.sent.to_string(),
            enrollment.released_micros.to_string(),
            exit.and_then(|exit| exit.operation_id).map(|id| id.to_string()).unwrap_or_default(),
        ]
    });
    page.table(&columns, rows, "nobody has left yet");
}
