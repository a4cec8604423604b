//! Contacts: people with a phone number, fields for templates and a time zone.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ids::ContactId;
use crate::phone::Phone;

/// What templates can say about a contact: one flat table of texts, in a stable order.
pub type Fields = BTreeMap<String, String>;

/// The field that every renderer is given besides: who the contact is, in digits. It is the same for all messages of a
/// contact and for no other one, so that a choice can follow from it. A contact's own field of this name is hidden.
pub const ID_FIELD: &str = "contact.id";

/// What a renderer is given of a contact.
pub fn for_renderer(mut fields: Fields, contact: ContactId) -> Fields {
    fields.insert(ID_FIELD.to_owned(), contact.to_string());
    fields
}

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
