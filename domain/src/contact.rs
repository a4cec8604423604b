//! Contacts: people with a phone number, fields for templates and a time zone.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::phone::Phone;

/// What templates can say about a contact: one flat table of texts, in a stable order.
pub type Fields = BTreeMap<String, String>;

/// A contact as it is imported. The phone is its identity within an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactDraft {
    /// Where messages go.
    pub phone: Phone,
    /// What templates can use.
    pub fields: Fields,
    /// In which zone the steps' times of day and weekdays are meant.
    pub time_zone: Tz,
}
