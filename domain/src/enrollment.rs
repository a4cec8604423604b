//! Enrollments: one contact's way through one workflow, and what is held for its steps.

use crate::ledger::Hold;
use crate::money::Micros;
use crate::named::named;

/// Why an enrollment ended. It has exactly one cause, and is live while it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitCause {
    /// Its last step was sent.
    Finished,
    /// Somebody took this contact out.
    Removed,
    /// The workflow was paused, which takes everybody out.
    WorkflowPaused,
    /// The workflow was deleted.
    WorkflowDeleted,
    /// The contact answered.
    Replied,
    /// The contact asked to hear nothing more.
    OptedOut,
    /// A step could not be sent.
    Failed,
    /// A step was not sent in time.
    Expired,
}

named!(ExitCause is "an exit cause" {
    Finished = "finished",
    Removed = "removed",
    WorkflowPaused = "workflow_paused",
    WorkflowDeleted = "workflow_deleted",
    Replied = "replied",
    OptedOut = "opted_out",
    Failed = "failed",
    Expired = "expired",
});

/// What was held for each step of one enrollment, written once when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepHolds<'a> {
    segments: &'a [u32],
    micros: &'a [Micros],
}

/// Segments and prices that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{segments} steps with segments do not match {micros} steps with a price")]
pub struct UnevenStepHolds {
    /// How many steps have segments.
    pub segments: usize,
    /// How many steps have a price.
    pub micros: usize,
}

impl<'a> StepHolds<'a> {
    /// Joins the two lists of an enrollment, which are in the order of the steps.
    pub fn new(segments: &'a [u32], micros: &'a [Micros]) -> Result<Self, UnevenStepHolds> {
        if segments.len() == micros.len() {
            Ok(Self { segments, micros })
        } else {
            Err(UnevenStepHolds { segments: segments.len(), micros: micros.len() })
        }
    }

    /// How many steps there are.
    pub fn steps(self) -> usize {
        self.segments.len()
    }

    /// What is held for the step at `position` (from 1); `None` when there is no such step.
    pub fn at(self, position: u32) -> Option<Hold> {
        let index = usize::try_from(position).ok()?.checked_sub(1)?;
        Some(Hold { segments: u64::from(*self.segments.get(index)?), micros: self.micros[index] })
    }

    /// What is held for the steps behind `position`; position 0 stands before the first step.
    pub fn after(self, position: u32) -> Hold {
        let gone = usize::try_from(position).unwrap_or(usize::MAX).min(self.steps());
        Hold {
            segments: self.segments[gone..].iter().copied().map(u64::from).sum(),
            micros: self.micros[gone..].iter().copied().sum(),
        }
    }

    /// What is held for all steps together.
    pub fn total(self) -> Hold {
        self.after(0)
    }
}
