//! Whether what a workflow file names exists, and whether its templates are right. Every problem is
//! shown where it stands in the file.

use dripline_domain::workflow::StepDraft;
use dripline_store::account::Account;
use dripline_store::route::{self, Route};

use crate::context::Context;
use crate::plugins::TemplateCheck;
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
        if let Err(message) = check_route(ctx, &routes, step).await {
            problems.push(Problem { span: at("route"), message });
        }
        match ctx.plugins.check_template(&step.renderer, &step.template).await? {
            TemplateCheck::Right => {}
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

async fn check_route(ctx: &Context, routes: &[Route], step: &StepDraft) -> Result<(), String> {
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
    match ctx.plugins.carrier(&route.carrier).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("route `{}` cannot be used: {error:#}", route.name)),
    }
}
