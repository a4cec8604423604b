//! Amounts as people read them and as programs read them.

use dripline_domain::ledger::Balance;
use dripline_domain::money::Micros;
use serde::Serialize;

/// An amount with its currency, for people: `12.50 USD`.
pub(crate) fn show(amount: Micros, currency: &str) -> String {
    format!("{amount} {currency}")
}

/// A balance in JSON, with its unit in every name.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the unit belongs to the name of every amount")]
pub(crate) struct BalanceMicros {
    pub(crate) available_micros: Micros,
    pub(crate) held_micros: Micros,
    pub(crate) spent_micros: Micros,
}

impl From<Balance> for BalanceMicros {
    fn from(balance: Balance) -> Self {
        Self {
            available_micros: balance.available,
            held_micros: balance.held,
            spent_micros: balance.spent,
        }
    }
}
