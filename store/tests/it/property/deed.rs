//! What can be done.

use proptest::sample::Index;

/// One deed. An index picks among whatever there is at that moment; where there is nothing to pick, the
/// deed is none.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    TopUp {
        micros: i64,
    },
    Adjust {
        micros: i64,
    },
    /// Every contact whose bit is set, chunk by chunk if the highest one is; the workflow's steps take as many of the segments as they need.
    Enroll {
        workflow: Index,
        contacts: u8,
        segments: Vec<u32>,
    },
    /// Marks a queued delivery with a text of that many segments.
    Start {
        queued: Index,
        segments: u32,
    },
    /// Settles a delivery that is sending or unknown.
    Finish {
        taken: Index,
        outcome: Outcome,
    },
    /// Evidence about a delivery that was handed over, whatever became of it.
    Resolve {
        handed_over: Index,
        witness: Spoken,
    },
    /// A receipt of a delivery that was handed over.
    Receipt {
        handed_over: Index,
    },
    /// The same request once more, under the key of an unknown one.
    Repeat {
        unknown: Index,
    },
    Expire {
        queued: Index,
    },
    Refuse {
        queued: Index,
    },
    Retry {
        queued: Index,
    },
    /// Gives a delivery up as closed that is not.
    GiveUpClosed {
        queued: Index,
    },
    Pause {
        workflow: Index,
    },
    Remove {
        live: Index,
    },
    /// Takes every contact whose bit is set out of a workflow.
    RemoveSome {
        workflow: Index,
        contacts: u8,
    },
    Edit {
        workflow: Index,
        steps: usize,
        charge: bool,
    },
    /// Deletes a workflow and creates another one in its place.
    Delete {
        workflow: Index,
    },
    OptOut {
        contact: Index,
    },
}

/// What became of a hand-over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Accepted,
    Refused,
    NotSent,
    Unknown,
}

/// Who says what about a hand-over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spoken {
    CarrierHasIt,
    CarrierHasItNot,
    OperatorSent,
    OperatorNotSent,
    Deadline,
}
