//! What a carrier says of the texts that it takes, by its manifest: a text that is not one of these costs nobody
//! anything.

use std::time::Duration;

use dripline_domain::delivery::DeliveryState;
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::testing::factory::step;

use crate::support::Stage;

/// Takes 40 characters in GSM-7.
const BRIEF: &str = "brief-carrier";

fn saying(template: String) -> Vec<StepDraft> {
    vec![StepDraft { template, ..step(Duration::ZERO) }]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_carrier_does_not_take_is_refused_before_anything_is_sent() {
    for (template, code, words) in [
        (
            "x".repeat(41),
            "too_many_characters",
            "the text has 41 characters; the carrier takes at most 40",
        ),
        (
            "Don’t forget".to_owned(),
            "encoding_not_taken",
            "the text has the character U+2019, which needs UCS-2; the carrier takes GSM-7 only",
        ),
    ] {
        let stage = Stage::new().await;
        let refused = stage.enrol_over(BRIEF, saying(template), 3).await;
        let taken = stage.enrol_over(BRIEF, saying("x".repeat(40)), 2).await;
        let worker = stage.worker().start();
        stage.wait_for(&taken, DeliveryState::Sent, 2).await;
        stage.wait_for(&refused, DeliveryState::Failed, 3).await;
        worker.stop().await;
        let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
        let failed = deliveries::list(&stage.pool, refused.account_id, &filter).await.unwrap();
        for delivery in failed {
            let reason = delivery.reason.as_ref().unwrap();
            assert_eq!((&*reason.code, &*reason.text), (code, words));
        }
        assert_eq!(stage.number("SELECT count(*) FROM attempts"), 2, "only what left was marked");
        assert_eq!(stage.carrier.log().len(), 2);
        stage.assert_invariants().await;
    }
}
