//! Whether what a workflow file names exists, whether its templates are right, and whether a text that is the same for
//! everybody can be sent at all. Every problem is shown where it stands in the file.

use std::sync::Arc;

use dripline_domain::contact::Fields;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::segment::TextRules;
use dripline_domain::workflow::StepDraft;
use dripline_plugin_host::Manifest;
use dripline_store::account::Account;
use dripline_store::route::{self, Route};

use crate::context::Context;
use crate::plugins::{QuoteReason, QuoteStep, TemplateCheck};
use crate::source::{Problem, Source};
use crate::suggestion::nearest;
use crate::workflow_file::{ReadFile, template_offset};

/// Checks routes, carriers, renderers and templates.
pub(super) async fn check(
    ctx: &Context,
    account: &Account,
    source: &Source,
    file: &ReadFile,
) -> anyhow::Result<()> {
    let routes = route::list(ctx.pool().await?, account.account_id).await?;
    let mut problems = Vec::new();
    for (number, step) in (1..).zip(&file.draft.steps) {
        let at = |part: &str| file.spans.at(&format!("steps[{number}].{part}"));
        let carrier = check_route(ctx, &routes, step).await;
        let rules = carrier.as_ref().ok().map(|manifest| manifest.texts);
        if let Err(message) = carrier {
            problems.push(Problem { span: at("route"), message });
        }
        match ctx.plugins.check_template(&step.renderer, &step.template).await? {
            TemplateCheck::Right => {}
            TemplateCheck::RightForAll => {
                let Some(rules) = rules else { continue };
                if let Some(message) = refused(ctx, step, rules).await? {
                    problems.push(Problem { span: at("template"), message });
                }
            }
            TemplateCheck::NoRenderer(message) => {
                problems.push(Problem { span: at("renderer"), message });
            }
            TemplateCheck::Wrong(wrong) => {
                let template = at("template");
                problems.extend(wrong.into_iter().map(|(line, column, message)| {
                    let start = template_offset(&source.text, template.clone(), line, column);
                    Problem { span: start..start + 1, message }
                }));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(source.refuse(problems).into()) }
}

/// Why the carrier would not take a text that is the same for everybody.
async fn refused(
    ctx: &Context,
    step: &StepDraft,
    rules: TextRules,
) -> anyhow::Result<Option<String>> {
    let step = QuoteStep {
        template: step.template.as_str().into(),
        renderer: step.renderer.clone(),
        rules,
        price_per_segment: Micros::ZERO,
    };
    // Whoever it is, since nothing of a contact is read.
    let anybody = vec![(ContactId(0), Fields::default())];
    let quotes = ctx.plugins.quote(&[step], anybody).await?;
    Ok(quotes.into_iter().find_map(|quote| match quote.err()?.reason {
        QuoteReason::NotTaken(refused) => Some(refused.to_string()),
        // Of this the enrolment speaks.
        QuoteReason::Render(_) | QuoteReason::Empty | QuoteReason::TooExpensive { .. } => None,
    }))
}

/// The manifest of the step's carrier, or why the route cannot be used.
async fn check_route(
    ctx: &Context,
    routes: &[Route],
    step: &StepDraft,
) -> Result<Arc<Manifest>, String> {
    let names = || routes.iter().map(|route| route.name.as_str());
    let Some(route) = routes.iter().find(|route| route.name == step.route) else {
        return Err(match nearest(&step.route, names()) {
            Some(name) => format!("there is no route `{}`; did you mean `{name}`?", step.route),
            None if routes.is_empty() => {
                "there are no routes yet; `dripline route add` adds one".into()
            }
            None => format!("there is no route `{}`", step.route),
        });
    };
    let carrier = ctx.plugins.carrier(&route.carrier).await;
    carrier.map_err(|error| format!("route `{}` cannot be used: {error:#}", route.name))
}
