//! Prices of whole workflows.

use std::sync::Arc;

use dripline_domain::contact::Fields;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::segment::{SegmentRules, TextRules};
use dripline_plugin_host::quote::{QuoteReason, QuoteStep, quote};

use crate::fixtures::{audience, host};

fn step(template: &str, max_segments: u16) -> QuoteStep {
    QuoteStep {
        template: Arc::from(template),
        renderer: "hostile-renderer".to_owned(),
        rules: TextRules {
            segments: SegmentRules { max_segments, ..SegmentRules::default() },
            ..TextRules::default()
        },
        price_per_segment: Micros(7_500),
    }
}

#[tokio::test]
async fn what_is_chosen_for_contacts_follows_from_who_they_are() {
    let host = host(&["template"]);
    let long = "x".repeat(161);
    let template = format!("{{{{ ['short', '{long}'] | spin }}}}");
    let steps = [QuoteStep { renderer: "template".to_owned(), ..step(&template, 2) }];
    // None has a field, or all have the same.
    let nobody = (1..=40).map(|id| (ContactId(id), Fields::new())).collect::<Vec<_>>();
    let named = (1..=40).map(ContactId).zip(audience(&["Ada"; 40])).collect::<Vec<_>>();
    let segments = async |contacts: &[(ContactId, Fields)]| {
        let quotes = quote(&host, &steps, contacts).await.unwrap();
        quotes.iter().map(|quote| quote.as_ref().unwrap().step_segments[0]).collect::<Vec<_>>()
    };
    let chosen = segments(&nobody).await;
    let long_ones = chosen.iter().filter(|segments| **segments == 2).count();
    assert!((10..=30).contains(&long_ones), "{chosen:?}");
    assert_eq!(segments(&named).await, chosen);
}

#[tokio::test]
async fn every_step_of_every_contact_is_priced() {
    let host = host(&["hostile-renderer"]);
    let long = "x".repeat(161);
    let contacts: Vec<_> =
        (1..).map(ContactId).zip(audience(&["Ann", &long, "", "poison"])).collect();
    let steps = [step("echo", 2), step("poison", 1)];
    let quotes = quote(&host, &steps, &contacts).await.unwrap();

    let ann = quotes[0].as_ref().unwrap();
    assert_eq!(ann.contact_id, ContactId(1));
    assert_eq!(ann.step_segments, [1, 1]);
    assert_eq!(ann.step_micros, [Micros(7_500), Micros(7_500)]);
    assert_eq!(ann.total(), Micros(15_000));

    let error = quotes[1].as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "message 2: the text has 2 segments; the carrier takes at most 1"
    );
    let error = quotes[2].as_ref().unwrap_err();
    assert_eq!((error.position, &error.reason), (1, &QuoteReason::Empty));
    let error = quotes[3].as_ref().unwrap_err();
    assert!(matches!(error.reason, QuoteReason::Render(_)), "{error:?}");
    assert_eq!((error.contact_id, error.position), (ContactId(4), 2));
}
