//! The order of an account's workflows, and what a move does to it.

use serde::{Deserialize, Serialize};

use crate::ids::WorkflowId;

/// Where a workflow is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// First.
    Top,
    /// Last.
    Bottom,
    /// One place nearer the top. The first one stays.
    Up,
    /// One place nearer the bottom. The last one stays.
    Down,
    /// The place with this number, from 1.
    Position(u32),
    /// Right before another workflow.
    Before(WorkflowId),
    /// Right after another workflow.
    After(WorkflowId),
}

/// Why a move is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReorderError {
    /// The workflow to be moved, or the one to be moved to, is not in the list.
    #[error("workflow {0} is not in the list")]
    NotInList(WorkflowId),
    /// There are not that many places.
    #[error("position {position} does not exist; the list has positions 1 to {count}")]
    NoSuchPosition {
        /// What was asked for.
        position: u32,
        /// How many workflows there are.
        count: usize,
    },
    /// A workflow cannot stand before or after itself.
    #[error("workflow {0} cannot be moved before or after itself")]
    ToItself(WorkflowId),
}

/// The list after `moved` has gone to `place`. All others keep their order among themselves.
pub fn reorder(
    order: &[WorkflowId],
    moved: WorkflowId,
    place: Place,
) -> Result<Vec<WorkflowId>, ReorderError> {
    let find = |id| order.iter().position(|o| *o == id).ok_or(ReorderError::NotInList(id));
    let from = find(moved)?;
    let last = order.len() - 1;
    let beside = |other: WorkflowId, behind: usize| {
        if other == moved {
            return Err(ReorderError::ToItself(moved));
        }
        let there = find(other)?;
        // Taking `moved` out first lets everything behind it move up by one.
        Ok(there + behind - usize::from(from < there))
    };
    let to = match place {
        Place::Top => 0,
        Place::Bottom => last,
        Place::Up => from.saturating_sub(1),
        Place::Down => (from + 1).min(last),
        Place::Position(position) => match usize::try_from(position) {
            Ok(number @ 1..) if number <= order.len() => number - 1,
            _ => return Err(ReorderError::NoSuchPosition { position, count: order.len() }),
        },
        Place::Before(other) => beside(other, 0)?,
        Place::After(other) => beside(other, 1)?,
    };
    let mut order = order.to_vec();
    let moved = order.remove(from);
    order.insert(to, moved);
    Ok(order)
}
