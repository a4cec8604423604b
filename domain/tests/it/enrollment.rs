use dripline_domain::enrollment::{ExitCause, StepHolds};
use dripline_domain::ledger::Hold;
use dripline_domain::money::Micros;
use proptest::prelude::*;

fn hold(segments: u64, micros: i64) -> Hold {
    Hold { segments, micros: Micros(micros) }
}

#[test]
fn what_remains() {
    let micros = [Micros(10), Micros(20), Micros(30)];
    let steps = StepHolds::new(&[1, 2, 3], &micros).unwrap();
    assert_eq!(steps.steps(), 3);
    assert_eq!(steps.total(), hold(6, 60));
    assert_eq!(steps.at(0), None);
    assert_eq!(steps.at(1), Some(hold(1, 10)));
    assert_eq!(steps.at(3), Some(hold(3, 30)));
    assert_eq!(steps.at(4), None);
    assert_eq!(steps.after(1), hold(5, 50));
    assert_eq!(steps.after(3), Hold::NONE);
    assert_eq!(steps.after(u32::MAX), Hold::NONE);
}

#[test]
fn uneven_lists_are_refused() {
    let error = StepHolds::new(&[1, 2], &[Micros(1)]).unwrap_err();
    assert_eq!(error.to_string(), "2 steps with segments do not match 1 steps with a price");
}

#[test]
fn names() {
    for cause in ExitCause::ALL {
        assert_eq!(cause.as_str().parse::<ExitCause>().unwrap(), *cause);
    }
    assert_eq!(ExitCause::WorkflowPaused.to_string(), "workflow_paused");
}

proptest! {
    #[test]
    fn every_step_is_counted_once(steps in prop::collection::vec((0..9_u32, 0..1_000_000_i64), 1..20)) {
        let (segments, micros): (Vec<u32>, Vec<Micros>) =
            steps.into_iter().map(|(segments, micros)| (segments, Micros(micros))).unzip();
        let steps = StepHolds::new(&segments, &micros).unwrap();
        let count = u32::try_from(steps.steps()).unwrap();
        for position in 1..=count {
            let here = steps.at(position).unwrap();
            prop_assert_eq!(steps.after(position - 1), here + steps.after(position));
        }
        let sum: Hold = (1..=count).filter_map(|position| steps.at(position)).sum();
        prop_assert_eq!(sum, steps.total());
    }
}
