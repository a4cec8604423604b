//! What Infobip tells: [delivery reports] and [inbound messages], several in one request, unsigned.
//!
//! [delivery reports]: https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/receive-outbound-sms-message-reports
//! [inbound messages]: https://www.infobip.com/docs/api/channels/sms/inbound-sms/receive-inbound-sms-messages

use dripline_plugin_sdk::{
    Heard, Hook, Inbound, Progress, Receipt, Rejection, Settings, Webhook, log,
};
use serde::Deserialize;

use crate::{Infobip, STATUSES, Status};

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
            let progress = match status.group_id {
                0 | 1 => Progress::Sent,
                3 => Progress::Delivered,
                2 | 4 | 5 => Progress::Undelivered,
                _ => {
                    log::write(log::Level::Info, "a message has a status that is not known");
                    continue;
                }
            };
            // The id is the reference that we gave.
            let receipt =
                Receipt::new(&*item.message_id, progress).reference(Some(&*item.message_id));
            heard.receipts.push(if progress == Progress::Undelivered {
                let code = status.code();
                let text = STATUSES.text(&code).unwrap_or("the message did not arrive");
                receipt.because(code, text)
            } else {
                receipt
            });
        }
        Ok(heard)
    }
}
