//! Evidence: who says what became of a hand-over whose outcome nobody knew.
//!
//! The first piece of evidence decides, and moves the money. A later one does not move it again: it
//! agrees with the decision or contradicts it, and a contradiction is kept for people to see. Only who
//! says that a message was sent which waits to be sent once more is believed, since no money has left its
//! hold yet, and the contact would get it twice.

use crate::named::named;

/// What somebody who can know says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The carrier took the message.
    Sent,
    /// The carrier did not take it, and will not.
    NotSent,
}

/// What became of an unknown hand-over, by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// A report of the carrier. Whatever it says, the carrier has the message.
    Receipt,
    /// The carrier's answer to our question.
    Carrier(Finding),
    /// A person who looked, or who decides.
    Operator(Finding),
    /// The worker that made the hand-over, after somebody else had decided.
    Worker(Finding),
    /// Nobody said anything in time: taken for sent, since the carrier may have billed it.
    Deadline,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Witness {
    /// [`Evidence::Receipt`].
    Receipt,
    /// [`Evidence::Carrier`].
    Carrier,
    /// [`Evidence::Operator`].
    Operator,
    /// [`Evidence::Worker`].
    Worker,
    /// [`Evidence::Deadline`].
    Deadline,
}

named!(Witness is "a witness" {
    Receipt = "receipt",
    Carrier = "carrier",
    Operator = "operator",
    Worker = "worker",
    Deadline = "deadline",
});

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The carrier took it: captured.
    Sent,
    /// It did not: queued again, or released.
    NotSent,
    /// Nobody knows, and it is taken for sent: captured.
    PresumedSent,
}

named!(Verdict is "a verdict" {
    Sent = "sent",
    NotSent = "not_sent",
    PresumedSent = "presumed_sent",
});

/// What a piece of evidence did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// It was the first, and moved the money.
    Decided,
    /// It says what had been decided.
    Agreed,
    /// It says otherwise. Nothing moved; people should look.
    Contradicted,
    /// It says otherwise, of a message that waited to be sent once more: that was sent, and is captured.
    Overruled,
}

named!(Effect is "an effect of evidence" {
    Decided = "decided",
    Agreed = "agreed",
    Contradicted = "contradicted",
    Overruled = "overruled",
});

impl Evidence {
    /// Who says it.
    pub const fn witness(self) -> Witness {
        match self {
            Self::Receipt => Witness::Receipt,
            Self::Carrier(_) => Witness::Carrier,
            Self::Operator(_) => Witness::Operator,
            Self::Worker(_) => Witness::Worker,
            Self::Deadline => Witness::Deadline,
        }
    }

    /// What is said.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Receipt => Verdict::Sent,
            Self::Carrier(finding) | Self::Operator(finding) | Self::Worker(finding) => {
                match finding {
                    Finding::Sent => Verdict::Sent,
                    Finding::NotSent => Verdict::NotSent,
                }
            }
            Self::Deadline => Verdict::PresumedSent,
        }
    }

    /// What this is beside a decision that was made before. `is_waiting`: the message is to be sent once
    /// more, and nobody has begun to.
    pub fn beside(self, decided: Finding, is_waiting: bool) -> Effect {
        let verdict = self.verdict();
        if verdict.finding() == decided {
            Effect::Agreed
        } else if is_waiting && verdict == Verdict::Sent {
            Effect::Overruled
        } else {
            Effect::Contradicted
        }
    }
}

impl Verdict {
    /// Whether the message is taken for sent.
    pub const fn finding(self) -> Finding {
        match self {
            Self::Sent | Self::PresumedSent => Finding::Sent,
            Self::NotSent => Finding::NotSent,
        }
    }
}
