//! The ledger's arithmetic: what each kind of entry does to a balance, and how the hold of one step
//! is settled.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::money::Micros;
use crate::named::named;

/// What a ledger entry does. Entries are never changed or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntryKind {
    /// Money in.
    Topup,
    /// Reserved at enrolment, or at the mark of a text that grew.
    Hold,
    /// Taken, when the carrier accepts.
    Capture,
    /// Given back from the hold.
    Release,
    /// A correction, with its reason. The only kind that may be negative.
    Adjust,
}

named!(EntryKind is "a kind of ledger entry" {
    Topup = "topup",
    Hold = "hold",
    Capture = "capture",
    Release = "release",
    Adjust = "adjust",
});

/// An account's money. None of the three is ever negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Balance {
    /// Can be spent.
    pub available: Micros,
    /// Reserved for messages that have not been settled.
    pub held: Micros,
    /// Taken for messages that were sent.
    pub spent: Micros,
}

/// More was asked for than is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} are needed and {available} are available, {} are missing", self.missing())]
pub struct InsufficientBalance {
    /// What the whole deed costs.
    pub needed: Micros,
    /// What is there.
    pub available: Micros,
}

impl InsufficientBalance {
    /// What is missing.
    pub fn missing(self) -> Micros {
        self.needed - self.available
    }
}

/// Why an entry cannot be applied to a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BalanceError {
    /// A hold or a negative adjustment beyond what is available.
    #[error(transparent)]
    Insufficient(#[from] InsufficientBalance),
    /// A capture or release of more than is held, which only a mistake of ours can ask for.
    #[error("{needed} cannot be captured or released, since only {held} are held")]
    NotHeld {
        /// What the entry takes from the hold.
        needed: Micros,
        /// What is held.
        held: Micros,
    },
    /// Only an adjustment may be negative.
    #[error("a {kind} entry cannot be negative: {amount}")]
    Negative {
        /// The entry's kind.
        kind: EntryKind,
        /// The amount.
        amount: Micros,
    },
    /// Beyond 64 bits of micros.
    #[error("the balance would be too large an amount")]
    TooLarge,
}

impl Balance {
    /// The balance after an entry of `amount`. The sum of the three parts changes only by top-ups
    /// and adjustments.
    pub fn apply(self, kind: EntryKind, amount: Micros) -> Result<Self, BalanceError> {
        if amount < Micros::ZERO && kind != EntryKind::Adjust {
            return Err(BalanceError::Negative { kind, amount });
        }
        let mut next = self;
        match kind {
            EntryKind::Topup => next.available = plus(self.available, amount)?,
            EntryKind::Adjust => {
                next.available = plus(self.available, amount)?;
                if next.available < Micros::ZERO {
                    return Err(InsufficientBalance {
                        needed: amount.checked_neg().ok_or(BalanceError::TooLarge)?,
                        available: self.available,
                    }
                    .into());
                }
            }
            EntryKind::Hold => {
                if amount > self.available {
                    let available = self.available;
                    return Err(InsufficientBalance { needed: amount, available }.into());
                }
                next.available = self.available - amount;
                next.held = plus(self.held, amount)?;
            }
            EntryKind::Capture | EntryKind::Release => {
                if amount > self.held {
                    return Err(BalanceError::NotHeld { needed: amount, held: self.held });
                }
                next.held = self.held - amount;
                let to =
                    if kind == EntryKind::Capture { &mut next.spent } else { &mut next.available };
                *to = plus(*to, amount)?;
            }
        }
        Ok(next)
    }

    /// Everything that was ever put in: available, held and spent together.
    pub fn total(self) -> Micros {
        self.available + self.held + self.spent
    }
}

fn plus(a: Micros, b: Micros) -> Result<Micros, BalanceError> {
    a.checked_add(b).ok_or(BalanceError::TooLarge)
}

/// Segments and their price, reserved together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// How many segments.
    pub segments: u64,
    /// What is held for them.
    pub micros: Micros,
}

impl Hold {
    /// Nothing.
    pub const NONE: Self = Self { segments: 0, micros: Micros::ZERO };

    /// What must be held on top before a text of `needed_segments` may be sent; nothing when the hold
    /// covers it. `None` when the amount does not fit 64 bits.
    pub fn surplus(self, needed_segments: u32, price_per_segment: Micros) -> Option<Self> {
        let Some(more) = u64::from(needed_segments).checked_sub(self.segments) else {
            return Some(Self::NONE);
        };
        // What is missing is part of `needed_segments`, so it fits as well.
        let micros = price_per_segment.checked_times(u32::try_from(more).ok()?)?;
        Some(Self { segments: more, micros })
    }
}

impl Add for Hold {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { segments: self.segments + other.segments, micros: self.micros + other.micros }
    }
}

impl AddAssign for Hold {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Hold {
    fn sum<I: Iterator<Item = Self>>(holds: I) -> Self {
        holds.fold(Self::NONE, Add::add)
    }
}

/// How the hold of one delivery ends: what is taken and what is given back. The two always add up to
/// what was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settlement {
    /// Taken for what the carrier accepted.
    pub captured: Hold,
    /// Given back.
    pub released: Hold,
}

impl Settlement {
    /// Nothing was sent: everything comes back.
    pub const fn unsent(held: Hold) -> Self {
        Self { captured: Hold::NONE, released: held }
    }

    /// The carrier accepted a text of `sent_segments`. A shorter text than was held for is charged
    /// in proportion, rounded in the payer's favour; a longer one never takes more than the hold,
    /// since what it needs on top was held before it was sent.
    pub fn sent(held: Hold, sent_segments: u32) -> Self {
        let sent_segments = u64::from(sent_segments);
        if sent_segments >= held.segments {
            return Self { captured: held, released: Hold::NONE };
        }
        let share =
            i128::from(held.micros.0) * i128::from(sent_segments) / i128::from(held.segments);
        let share = i64::try_from(share).expect("a part of an amount is not larger than it");
        let captured = Hold { segments: sent_segments, micros: Micros(share) };
        Self {
            captured,
            released: Hold {
                segments: held.segments - captured.segments,
                micros: held.micros - captured.micros,
            },
        }
    }
}
