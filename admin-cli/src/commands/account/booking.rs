//! What a top-up and an adjustment leave behind, as both commands report it.

use dripline_domain::money::Micros;
use dripline_store::account::Account;
use dripline_store::ops::Booked;
use serde::Serialize;

use crate::money::{self, BalanceMicros};
use crate::output::Report;
use crate::output::page::Page;

#[derive(Serialize)]
pub(super) struct Booking {
    account: String,
    currency: String,
    ledger_entry_id: i64,
    amount_micros: Micros,
    balance: BalanceMicros,
}

impl Booking {
    pub(super) fn new(account: Account, amount: Micros, booked: Booked) -> Self {
        Self {
            account: account.name,
            currency: account.currency,
            ledger_entry_id: booked.ledger_entry_id.0,
            amount_micros: amount,
            balance: booked.balance.into(),
        }
    }
}

impl Report for Booking {
    fn lay_out(&self, page: &mut Page) {
        let show = |amount| money::show(amount, &self.currency);
        page.pairs([
            ("account", self.account.clone()),
            ("ledger entry", self.ledger_entry_id.to_string()),
            ("amount", show(self.amount_micros)),
            ("available now", show(self.balance.available_micros)),
        ]);
    }
}
