//! Reading what rows hold as text into what it means.

use std::str::FromStr;

use dripline_domain::phone::Phone;

use crate::StoreError;

/// Understands a column that a constraint keeps to known values.
pub(crate) fn read<T: FromStr>(
    text: &str,
    table: &'static str,
    column: &'static str,
    key: impl std::fmt::Display,
) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable { table, key: key.to_string(), column })
}

/// Whether Postgres refused a statement for this constraint or unique index.
pub(crate) fn breaks(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
}

/// A count or sum that Postgres gives as a signed number and that is never negative.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).expect("counts and sums of non-negative columns are not negative")
}

/// A position, an attempt or a step count: a number that a constraint keeps from being negative.
pub(crate) fn ordinal(number: i32) -> u32 {
    u32::try_from(number).expect("positions and attempts are not negative")
}

/// A contact's number, which `phone_is_e164` keeps readable.
pub(crate) fn phone(text: &str, contact_id: i64) -> Result<Phone, StoreError> {
    Phone::from_e164(text).map_err(|_| StoreError::Unreadable {
        table: "contacts",
        key: contact_id.to_string(),
        column: "phone",
    })
}
