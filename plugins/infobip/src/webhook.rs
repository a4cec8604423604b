//! What Infobip tells: [delivery reports] and [inbound messages], several in one request, unsigned.
//!
//! [delivery reports]: https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports
//! [inbound messages]: https://www.infobip.com/docs/api/channels/sms/inbound-sms/receive-inbound-sms-messages

use dripline_plugin_sdk::{
    Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, log,
};
use serde::Deserialize;

use crate::{Group, Infobip, STATUSES, Status};

#[derive(Deserialize)]
struct Told {
    results: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    message_id: String,
    status: Option<Status>,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    text: String,
}

impl Webhook for Infobip {
    fn parse(_: &Settings, hook: &Hook) -> Result<Heard, Rejection> {
        let mut heard = Heard::nothing();
        for item in hook.json::<Told>()?.results {
            if item.message_id.is_empty() {
                return Err(Rejection::not_understood());
            }
            let Some(status) = item.status else {
                let inbound = Inbound::new(item.message_id, &item.from, item.to, item.text);
                heard.inbound.push(inbound);
                continue;
            };
            let code = status.code();
            let Some(group) = status.group() else {
                log::write(log::Level::Info, "a message has a status that is not known");
                continue;
            };
            let progress = progress(group, &code);
            // The id is the reference that we gave.
            let receipt =
                Receipt::new(&*item.message_id, progress).reference(Some(&*item.message_id));
            heard.receipts.push(if progress == Progress::Undelivered {
                let text = STATUSES.text(&code).unwrap_or("the message did not arrive");
                receipt.because(code, text)
            } else {
                receipt
            });
        }
        Ok(heard)
    }
}

/// How far the message has come. Only the handset's report is an end of the group DELIVERED, and only an operator's
/// report one of EXPIRED: without any, the message left, and that is all that is known.
fn progress(group: Group, id: &str) -> Progress {
    const WAITING_DELIVERY: &str = "3";
    const ENROUTE: &str = "7";
    const DELIVERED_TO_OPERATOR: &str = "2";
    const EXPIRED_DLR_UNKNOWN: &str = "29";
    match (group, id) {
        (Group::Pending, WAITING_DELIVERY | ENROUTE)
        | (Group::Delivered, DELIVERED_TO_OPERATOR)
        | (Group::Expired, EXPIRED_DLR_UNKNOWN) => Progress::Sent,
        (Group::Pending, _) => Progress::Queued,
        (Group::Delivered, _) => Progress::Delivered,
        (Group::Undeliverable | Group::Expired | Group::Rejected, _) => Progress::Undelivered,
    }
}
