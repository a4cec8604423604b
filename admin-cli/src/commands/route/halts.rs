//! Routes that workers have halted, as `route show` and `queue stats` report them.

use dripline_store::route_halt::RouteHalt;

use crate::output::page::{Column, Page};
use crate::output::words::time;

/// One line for each worker that has halted a route.
pub(crate) fn lay_out(halts: &[RouteHalt], page: &mut Page) {
    page.line("halted; what is due waits, or goes over the failover:");
    let columns = [
        Column::Text("ROUTE"),
        Column::Text("SINCE"),
        Column::Text("NEXT PROBE"),
        Column::Number("FAILED PROBES"),
        Column::Number("WAITING"),
        Column::Text("WORKER"),
        Column::Text("REASON"),
    ];
    let rows = halts.iter().map(|halt| {
        vec![
            halt.route.clone(),
            time(halt.halted_at),
            time(halt.probe_at),
            halt.failed_probes.to_string(),
            halt.waiting.to_string(),
            halt.worker.clone(),
            halt.reason.to_string(),
        ]
    });
    page.table(&columns, rows, "");
}
