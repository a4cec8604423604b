//! What a plugin has heard, in the store's words.

use dripline_domain::delivery::Reason;
use dripline_plugin_host::{Heard, Inbound, Receipt};
use dripline_store::callback::Callback;
use dripline_store::ops::{self, InboundMessage, ReceiptOf};

/// The longest reference, ours or the carrier's, in characters. The longest of a carrier that we know has 64.
const LONGEST_REFERENCE: usize = 255;
/// The longest number or name of a sender, in characters.
const LONGEST_PARTY: usize = 64;

/// What one request told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) receipts: Vec<ops::Receipt>,
    pub(super) inbound: Vec<InboundMessage>,
}

/// It told something that no carrier says, such as an id of a thousand letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Told {
    /// What was heard over a callback. `reference` is the one that stands in the address which was called: it is of the
    /// message that a report is on, when the carrier gives no reference of ours back.
    pub(super) fn new(
        callback: &Callback,
        reference: Option<&str>,
        heard: Heard,
    ) -> Result<Self, Nonsense> {
        let Heard { receipts, inbound } = heard;
        // Of several reports it would not be said which one it is of.
        let reference = reference.filter(|_| receipts.len() == 1);
        let receipts = receipts.into_iter().map(|one| receipt(callback, reference, one));
        let inbound = inbound.into_iter().map(|one| message(callback, one));
        Ok(Self {
            receipts: receipts.collect::<Result<_, _>>()?,
            inbound: inbound.collect::<Result<_, _>>()?,
        })
    }
}

fn receipt(
    callback: &Callback,
    reference: Option<&str>,
    receipt: Receipt,
) -> Result<ops::Receipt, Nonsense> {
    let Receipt { reference: given, carrier_reference, status, code, text, .. } = receipt;
    let given = given.or_else(|| reference.map(str::to_owned));
    let carrier_reference =
        carrier_reference.map(|of| bounded(of, LONGEST_REFERENCE)).transpose()?;
    let of = match (given, &carrier_reference) {
        (Some(ours), _) => ReceiptOf::Ours(bounded(ours, LONGEST_REFERENCE)?),
        (None, Some(theirs)) => ReceiptOf::Carriers(theirs.clone()),
        (None, None) => return Err(Nonsense),
    };
    let reason = code.or_else(|| text.as_ref().map(|_| String::new()));
    let reason = reason.map(|code| Reason::new(code, text.unwrap_or_default()));
    Ok(ops::Receipt { over: callback.route_id, of, status, carrier_reference, reason })
}

fn message(callback: &Callback, inbound: Inbound) -> Result<InboundMessage, Nonsense> {
    let Inbound { carrier_reference, sender, recipient, text, .. } = inbound;
    if carrier_reference.is_empty() {
        return Err(Nonsense);
    }
    Ok(InboundMessage {
        account_id: callback.account_id,
        route_id: callback.route_id,
        carrier_reference: bounded(carrier_reference, LONGEST_REFERENCE)?,
        sender: bounded(sender, LONGEST_PARTY)?,
        recipient: bounded(recipient, LONGEST_PARTY)?,
        // The one character that a column of text cannot hold.
        text: text.replace('\0', "\u{fffd}"),
    })
}

fn bounded(text: String, longest: usize) -> Result<String, Nonsense> {
    let fits = text.chars().count() <= longest && !text.chars().any(char::is_control);
    if fits { Ok(text) } else { Err(Nonsense) }
}

#[cfg(test)]
mod tests {
    use dripline_domain::ids::{AccountId, RouteId};
    use dripline_domain::receipt::ReceiptStatus;

    use super::*;

    const CALLBACK: Callback =
        Callback { account_id: AccountId(1), route_id: RouteId(2), revision: 3 };

    fn report(ours: Option<&str>, theirs: Option<&str>) -> Receipt {
        Receipt {
            reference: ours.map(str::to_owned),
            carrier_reference: theirs.map(str::to_owned),
            status: ReceiptStatus::Sent,
            code: None,
            text: None,
            attributes: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_on_the_message_that_it_or_its_address_names() {
        let check = |ours, theirs, address, expected: Result<ReceiptOf, Nonsense>| {
            let heard = Heard { receipts: vec![report(ours, theirs)], inbound: Vec::new() };
            let told = Told::new(&CALLBACK, address, heard);
            assert_eq!(told.map(|told| told.receipts[0].of.clone()), expected);
        };
        let ours = |of: &str| Ok(ReceiptOf::Ours(of.to_owned()));
        check(Some("a"), Some("SM1"), Some("b"), ours("a"));
        check(None, Some("SM1"), Some("b"), ours("b"));
        check(None, Some("SM1"), None, Ok(ReceiptOf::Carriers("SM1".to_owned())));
        check(None, None, None, Err(Nonsense));
        check(None, Some("SM1\0"), None, Err(Nonsense));
        check(None, Some(&"1".repeat(256)), None, Err(Nonsense));
    }

    #[test]
    fn the_address_says_nothing_about_several_reports() {
        let receipts = vec![report(None, Some("SM1")), report(None, Some("SM2"))];
        let told = Told::new(&CALLBACK, Some("b"), Heard { receipts, inbound: Vec::new() });
        let of: Vec<_> = told.unwrap().receipts.into_iter().map(|receipt| receipt.of).collect();
        assert_eq!(of, ["SM1", "SM2"].map(|id| ReceiptOf::Carriers(id.to_owned())));
    }

    #[test]
    fn a_message_is_kept_within_bounds() {
        let inbound = |reference: &str, sender: &str| Inbound {
            carrier_reference: reference.to_owned(),
            sender: sender.to_owned(),
            recipient: "+12025550100".to_owned(),
            text: "a\0b".to_owned(),
            attributes: Vec::new(),
        };
        let told = |one| {
            let heard = Heard { receipts: Vec::new(), inbound: vec![one] };
            Told::new(&CALLBACK, None, heard).map(|told| told.inbound[0].text.clone())
        };
        assert_eq!(told(inbound("SM1", "+12025550123")), Ok("a\u{fffd}b".to_owned()));
        assert_eq!(told(inbound("", "+12025550123")), Err(Nonsense));
        assert_eq!(told(inbound("SM1", &"1".repeat(65))), Err(Nonsense));
    }
}
