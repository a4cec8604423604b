//! What a workflow costs for each contact: every step rendered, its segments counted.

use std::sync::Arc;

use dripline_domain::contact::{self, Fields};
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::segment::{TextRefused, TextRules};

use crate::error::PluginError;
use crate::host::PluginHost;
use crate::renderer::RenderError;

/// One step of the workflow to be priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteStep {
    /// The step's text.
    pub template: Arc<str>,
    /// The plugin that renders it.
    pub renderer: String,
    /// Which texts its carrier takes, and how it counts segments.
    pub rules: TextRules,
    /// What one segment costs on its route.
    pub price_per_segment: Micros,
}

/// What a workflow costs for one contact. Both lists have one entry per step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactQuote {
    /// Who.
    pub contact_id: ContactId,
    /// Segments of each step.
    pub step_segments: Vec<u32>,
    /// Price of each step.
    pub step_micros: Vec<Micros>,
}

impl ContactQuote {
    /// The price of the whole workflow.
    pub fn total(&self) -> Micros {
        self.step_micros.iter().copied().sum()
    }
}

/// Why a contact cannot be priced, and so not be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message {position}: {reason}")]
pub struct QuoteError {
    /// Who.
    pub contact_id: ContactId,
    /// Which step, counting from 1.
    pub position: u32,
    /// Why.
    pub reason: QuoteReason,
}

/// Why one step of a contact cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteReason {
    /// There is no text.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// There is nothing in it.
    #[error("the text is empty")]
    Empty,
    /// The carrier would not take it.
    #[error(transparent)]
    NotTaken(#[from] TextRefused),
    /// Beyond 64 bits of micros.
    #[error("the price of {segments} segments at {price_per_segment} each is too large")]
    TooExpensive {
        /// What it has.
        segments: u32,
        /// What one costs.
        price_per_segment: Micros,
    },
}

/// Prices every contact, in their order. Steps go one after the other, so that at most one
/// rendering of the audience is in memory.
pub async fn quote(
    host: &PluginHost,
    steps: &[QuoteStep],
    contacts: &[(ContactId, Fields)],
) -> Result<Vec<Result<ContactQuote, QuoteError>>, PluginError> {
    let audience: Arc<[Fields]> =
        contacts.iter().map(|(id, fields)| contact::for_renderer(fields.clone(), *id)).collect();
    let mut quotes: Vec<Result<ContactQuote, QuoteError>> = contacts
        .iter()
        .map(|(contact_id, _)| {
            Ok(ContactQuote {
                contact_id: *contact_id,
                step_segments: Vec::with_capacity(steps.len()),
                step_micros: Vec::with_capacity(steps.len()),
            })
        })
        .collect();
    for (position, step) in (1..).zip(steps) {
        let (rules, price) = (step.rules, step.price_per_segment);
        let priced = host
            .render_each(
                &step.renderer,
                Arc::clone(&step.template),
                Arc::clone(&audience),
                move |text| price_of(&text, &rules, price),
            )
            .await?;
        for (quoted, priced) in quotes.iter_mut().zip(priced) {
            let Ok(contact) = quoted else { continue };
            let contact_id = contact.contact_id;
            match priced.map_err(QuoteReason::Render).and_then(|priced| priced) {
                Ok((segments, micros)) => {
                    contact.step_segments.push(segments);
                    contact.step_micros.push(micros);
                }
                Err(reason) => *quoted = Err(QuoteError { contact_id, position, reason }),
            }
        }
    }
    Ok(quotes)
}

fn price_of(
    text: &str,
    rules: &TextRules,
    price_per_segment: Micros,
) -> Result<(u32, Micros), QuoteReason> {
    if text.trim().is_empty() {
        return Err(QuoteReason::Empty);
    }
    let segments = rules.measure(text)?.segments;
    let micros = price_per_segment
        .checked_times(segments)
        .ok_or(QuoteReason::TooExpensive { segments, price_per_segment })?;
    Ok((segments, micros))
}
