//! What narrows a choice of contacts: tests of the contact, and of its enrollment where there is one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;

/// Tests that must all hold. The empty ones let everybody pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conditions {
    /// Fields with this value.
    pub equal: Vec<(String, String)>,
    /// Fields that do not have this value; a contact without the field passes.
    pub unequal: Vec<(String, String)>,
    /// Fields that the contact does not have.
    pub missing: Vec<String>,
    /// Fields that it has.
    pub present: Vec<String>,
    /// Its IANA time zone.
    pub time_zones: Vec<String>,
    /// IANA time zones that are not its own.
    pub other_time_zones: Vec<String>,
    /// What its number begins with: a plus sign and digits.
    pub phone_prefixes: Vec<String>,
    /// What must be true of the enrollment.
    pub enrollment: EnrollmentConditions,
}

/// Tests of an enrollment that must all hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EnrollmentConditions {
    /// It is at this step or a later one.
    pub from_position: Option<u32>,
    /// It is at this step or an earlier one.
    pub to_position: Option<u32>,
    /// It was enrolled at this instant or later.
    pub enrolled_from: Option<DateTime<Utc>>,
    /// It was enrolled before this instant.
    pub enrolled_before: Option<DateTime<Utc>>,
}

impl Conditions {
    /// As the queries take them. The enrollment's are passed one by one.
    pub(crate) fn columns(&self) -> Columns {
        Columns {
            equal: objects(&self.equal),
            unequal: objects(&self.unequal),
            phones: self.phone_prefixes.iter().map(|prefix| format!("{prefix}%")).collect(),
        }
    }
}

impl EnrollmentConditions {
    /// Whether anything is asked of the enrollment.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn first_position(self) -> Option<i32> {
        self.from_position.map(|position| i32::try_from(position).unwrap_or(i32::MAX))
    }

    pub(crate) fn last_position(self) -> Option<i32> {
        self.to_position.map(|position| i32::try_from(position).unwrap_or(i32::MAX))
    }
}

/// A contact's fields of which one is known.
pub(crate) type Object = Json<BTreeMap<String, String>>;

/// Conditions in the shape of the queries' parameters.
pub(crate) struct Columns {
    pub(crate) equal: Vec<Object>,
    pub(crate) unequal: Vec<Object>,
    /// Patterns of `LIKE`; numbers have no character that means something there.
    pub(crate) phones: Vec<String>,
}

fn objects(fields: &[(String, String)]) -> Vec<Object> {
    let one =
        |(name, value): &(String, String)| Json(BTreeMap::from([(name.clone(), value.clone())]));
    fields.iter().map(one).collect()
}
