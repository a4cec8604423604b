//! Plugins that misbehave cost their own deliveries, and nobody else's.

use std::time::Duration;

use dripline_domain::delivery::DeliveryState;
use dripline_domain::workflow::StepDraft;
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::testing::factory::step;

use crate::support::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_renderer_costs_its_own_deliveries_only() {
    let stage = Stage::new().await;
    let mut hostile = Vec::new();
    for (template, code) in [
        ("loop", "plugin_deadline"),
        ("memory", "plugin_memory"),
        ("panic", "plugin_trap"),
        ("stack", "plugin_stack"),
        ("huge-output", "plugin_output"),
        ("wrong-count", "plugin_wrong_count"),
    ] {
        let step = StepDraft {
            template: template.to_owned(),
            renderer: "hostile-renderer".to_owned(),
            ..step(Duration::ZERO)
        };
        hostile.push((template, code, stage.enrol_in(vec![step], 1).await));
    }
    let harmless = stage.enrol(2, 50).await;
    let mut worker = stage
        .worker()
        .setting("PLUGINS__RENDERER__DEADLINE_MS", &300)
        .setting("WORKER__RETRY__MAX_ATTEMPTS", &2)
        .start();
    stage.wait_for(&harmless, DeliveryState::Sent, 100).await;
    for (template, code, scene) in &hostile {
        stage.wait_for(scene, DeliveryState::Failed, 1).await;
        let filter = DeliveryFilter::default();
        let failed = deliveries::list(&stage.pool, scene.account_id, &filter).await.unwrap();
        let reason = failed[0].reason.as_ref().unwrap();
        assert!(
            reason.code == *code || reason.code == "plugin_trap",
            "`{template}` ended in {reason}"
        );
        assert!(!reason.text.contains("15551234567"), "{reason}");
    }
    assert!(worker.is_running());
    worker.stop().await;
    stage.assert_invariants().await;
}
