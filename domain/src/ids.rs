//! Every id is its own type, so that a workflow's id can never be passed for a contact's.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                s.parse().map(Self)
            }
        }
    };
}

id! {
    /// Who pays.
    AccountId
}
id! {
    /// A person with a phone number.
    ContactId
}
id! {
    /// A sequence of steps.
    WorkflowId
}
id! {
    /// One message of a workflow. An edit gives its steps new ids.
    StepId
}
id! {
    /// A named carrier configuration.
    RouteId
}
id! {
    /// One contact's way through one workflow.
    EnrollmentId
}
id! {
    /// One step for one enrollment.
    DeliveryId
}
id! {
    /// One movement of money.
    LedgerEntryId
}
id! {
    /// One recorded pause, delete or removal.
    OperationId
}
id! {
    /// One incarnation of a worker process.
    WorkerId
}
id! {
    /// Something that an audit found to be wrong.
    AuditBreakId
}
