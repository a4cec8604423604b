//! Template renderer.
use dripline_plugin_sdk::{Fields, Problem, RenderError, Renderer, export_renderer};
/// The renderer.
pub struct Template;
impl Renderer for Template {
    fn check(template: &str) -> Result<Vec<String>, Vec<Problem>> {
        let env = minijinja::Environment::empty();
        let t = env.template_from_str(template).map_err(|e| {
            vec![Problem { line: e.line().unwrap_or(1) as u32, column: 1, text: e.to_string() }]
        })?;
        let mut v: Vec<String> = t.undeclared_variables(false).into_iter().collect();
        v.sort();
        Ok(v)
    }
    fn render(template: &str, audience: Vec<Fields>) -> Vec<Result<String, RenderError>> {
        let env = minijinja::Environment::empty();
        let t = env.template_from_str(template).unwrap();
        audience
            .into_iter()
            .map(|f| {
                t.render(minijinja::Value::from_iter(
                    f.names()
                        .map(|n| (n.to_owned(), f.get(n).unwrap_or_default().to_owned()))
                        .collect::<Vec<_>>(),
                ))
                .map_err(|e| RenderError::new("template-error", e.to_string()))
            })
            .collect()
    }
}
export_renderer!(Template);
