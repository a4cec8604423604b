use dripline_domain::ids::WorkflowId;
use dripline_domain::workflow::{Place, reorder};
use proptest::prelude::*;

fn ids(numbers: &[i64]) -> Vec<WorkflowId> {
    numbers.iter().copied().map(WorkflowId).collect()
}

#[track_caller]
fn check(moved: i64, place: Place, expected: Result<&[i64], &str>) {
    let order = reorder(&ids(&[1, 2, 3, 4]), WorkflowId(moved), place);
    assert_eq!(order.map_err(|error| error.to_string()), expected.map(ids).map_err(str::to_owned));
}

#[test]
fn moves() {
    check(3, Place::Top, Ok(&[3, 1, 2, 4]));
    check(3, Place::Bottom, Ok(&[1, 2, 4, 3]));
    check(3, Place::Up, Ok(&[1, 3, 2, 4]));
    check(3, Place::Down, Ok(&[1, 2, 4, 3]));
    check(1, Place::Up, Ok(&[1, 2, 3, 4]));
    check(4, Place::Down, Ok(&[1, 2, 3, 4]));
    check(1, Place::Position(3), Ok(&[2, 3, 1, 4]));
    check(4, Place::Position(1), Ok(&[4, 1, 2, 3]));
    check(2, Place::Position(2), Ok(&[1, 2, 3, 4]));
    check(1, Place::Before(WorkflowId(4)), Ok(&[2, 3, 1, 4]));
    check(4, Place::Before(WorkflowId(1)), Ok(&[4, 1, 2, 3]));
    check(1, Place::After(WorkflowId(4)), Ok(&[2, 3, 4, 1]));
    check(4, Place::After(WorkflowId(1)), Ok(&[1, 4, 2, 3]));
    check(2, Place::After(WorkflowId(1)), Ok(&[1, 2, 3, 4]));
}

#[test]
fn refusals() {
    check(9, Place::Top, Err("workflow 9 is not in the list"));
    check(1, Place::Before(WorkflowId(9)), Err("workflow 9 is not in the list"));
    check(1, Place::After(WorkflowId(1)), Err("workflow 1 cannot be moved before or after itself"));
    for position in [0, 5] {
        let error = format!("position {position} does not exist; the list has positions 1 to 4");
        check(1, Place::Position(position), Err(&error));
    }
    assert!(reorder(&[], WorkflowId(1), Place::Top).is_err());
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        Just(Place::Top),
        Just(Place::Bottom),
        Just(Place::Up),
        Just(Place::Down),
        (0..12_u32).prop_map(Place::Position),
        (0..12_i64).prop_map(|id| Place::Before(WorkflowId(id))),
        (0..12_i64).prop_map(|id| Place::After(WorkflowId(id))),
    ]
}

proptest! {
    #[test]
    fn the_others_keep_their_order(count in 1..10_i64, moved in 0..10_i64, place in places()) {
        let before: Vec<_> = (0..count).map(WorkflowId).collect();
        let moved = WorkflowId(moved);
        if let Ok(after) = reorder(&before, moved, place) {
            let others = |list: &[WorkflowId]| -> Vec<_> {
                list.iter().copied().filter(|id| *id != moved).collect()
            };
            prop_assert_eq!(others(&before), others(&after));
            prop_assert_eq!(after.iter().filter(|id| **id == moved).count(), 1);
            let at = after.iter().position(|id| *id == moved).unwrap();
            match place {
                Place::Position(position) => prop_assert_eq!(at + 1, position as usize),
                Place::Before(other) => prop_assert_eq!(after[at + 1], other),
                Place::After(other) => prop_assert_eq!(after[at - 1], other),
                _ => {}
            }
        }
    }
}
