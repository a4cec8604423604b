//! Receipts: what a carrier reports on a message after it took it.

use crate::named::named;

/// How far the carrier says that a message has come. Reports arrive late, doubled and out of order,
/// so that only a higher rank than the one known says something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReceiptStatus {
    /// The carrier has it.
    Queued,
    /// It left the carrier.
    Sent,
    /// It arrived.
    Delivered,
    /// It did not arrive. The carrier billed it all the same, so that it stays captured.
    Undelivered,
}

named!(ReceiptStatus is "a receipt's status" {
    Queued = "queued",
    Sent = "sent",
    Delivered = "delivered",
    Undelivered = "undelivered",
});

impl ReceiptStatus {
    /// `queued` < `sent` < `delivered` and `undelivered`, which are ends: the first of them stays.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Queued => 1,
            Self::Sent => 2,
            Self::Delivered | Self::Undelivered => 3,
        }
    }
}
