//! Render: the contact's fields become the text.

use std::collections::HashMap;
use std::sync::Arc;

use dripline_domain::contact::{self, Fields};
use dripline_domain::ids::{RouteId, StepId};
use dripline_plugin_host::{CallError, Failure, FailureClass, PluginError, RenderError};
use dripline_store::delivery::DueDelivery;

use super::Outcome;
use crate::batch::Batcher;
use crate::crash::crash_point;
use crate::environment::Environment;

type Rendered = Result<Result<String, RenderError>, PluginError>;

#[derive(Debug)]
struct Request {
    step_id: StepId,
    /// The step's; a step has one.
    route_id: RouteId,
    renderer: Arc<str>,
    template: Arc<str>,
    fields: Fields,
}

/// The stage.
#[derive(Clone, Debug)]
pub(super) struct Render {
    batcher: Batcher<Request, Rendered>,
}

impl Render {
    pub(super) fn start(environment: &Arc<Environment>) -> Self {
        let limits = environment.batches.plugins;
        let environment = environment.clone();
        let batcher = Batcher::spawn("render", limits, move |batch: Vec<Request>| {
            let environment = environment.clone();
            async move { render(&environment, batch).await }
        });
        Self { batcher }
    }

    /// Takes the delivery's fields; nothing after this needs them.
    pub(super) async fn call(&self, delivery: &mut DueDelivery) -> Result<String, Outcome> {
        let request = Request {
            step_id: delivery.step_id,
            route_id: delivery.route.route_id,
            renderer: delivery.renderer.clone(),
            template: delivery.template.clone(),
            fields: contact::for_renderer(
                std::mem::take(&mut delivery.fields),
                delivery.contact_id,
            ),
        };
        let rendered = self.batcher.call(request).await;
        crash_point!("render-done");
        match rendered {
            Ok(Ok(Ok(text))) => Ok(text),
            Ok(Ok(Err(error))) => {
                Err(Outcome::before_wire(delivery, &delivery.renderer, &no_text(error)))
            }
            Ok(Err(error)) => {
                Err(Outcome::before_wire(delivery, &delivery.renderer, &error.into()))
            }
            Err(_) => Err(Outcome::Interrupted),
        }
    }
}

/// A text that the renderer says there cannot be will not be there later either.
fn no_text(error: RenderError) -> CallError {
    match error {
        RenderError::Plugin(error) => error.into(),
        error => CallError::Failure(Failure {
            class: FailureClass::Permanent,
            code: error.code().to_owned(),
            text: error.to_string(),
            retry_after: None,
            attributes: Vec::new(),
        }),
    }
}

/// One call of the renderer for each step in the batch: one template, many contacts.
async fn render(environment: &Environment, batch: Vec<Request>) -> Vec<Rendered> {
    let count = batch.len();
    let mut steps: HashMap<StepId, Audience> = HashMap::new();
    for (place, request) in batch.into_iter().enumerate() {
        let audience = steps.entry(request.step_id).or_insert_with(|| Audience {
            route_id: request.route_id,
            renderer: request.renderer,
            template: request.template,
            places: Vec::new(),
            fields: Vec::new(),
        });
        audience.places.push(place);
        audience.fields.push(request.fields);
    }
    let mut answers: Vec<Option<Rendered>> = std::iter::repeat_with(|| None).take(count).collect();
    for audience in steps.into_values() {
        let Audience { route_id, renderer, template, places, fields } = audience;
        let plugins = environment.plugins.on_route(route_id);
        match plugins.render(&renderer, template, fields).await {
            Ok(texts) => {
                for (place, text) in places.into_iter().zip(texts) {
                    answers[place] = Some(Ok(text));
                }
            }
            Err(error) => {
                for place in places {
                    answers[place] = Some(Err(error.clone()));
                }
            }
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Err(PluginError::HostStopped))).collect()
}

struct Audience {
    route_id: RouteId,
    renderer: Arc<str>,
    template: Arc<str>,
    places: Vec<usize>,
    fields: Vec<Fields>,
}
