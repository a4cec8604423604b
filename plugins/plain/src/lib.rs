//! The renderer `plain`: the same text for everybody, as it stands. Braces mean nothing in it, so that what was
//! written elsewhere needs no escaping.
//!
//! The one check is for what looks like a field of the renderer `template`: `{{ name }}` in a text that nobody fills
//! in is a mistake.

use dripline_plugin_sdk::{Fields, Problem, RenderError, Renderer, export_renderer};

/// The renderer.
pub struct Plain;

impl Renderer for Plain {
    fn check(template: &str) -> Result<Vec<String>, Vec<Problem>> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let problems: Vec<Problem> = template
            .lines()
            .enumerate()
            .filter_map(|(index, line)| {
                let (before, rest) = line.split_once("{{")?;
                rest.contains("}}").then(|| Problem {
                    line: count(index + 1),
                    column: count(before.chars().count() + 1),
                    text: "`plain` fills nothing in; use the renderer `template`".to_owned(),
                })
            })
            .collect();
        if problems.is_empty() { Ok(Vec::new()) } else { Err(problems) }
    }

    fn render(template: &str, audience: Vec<Fields>) -> Vec<Result<String, RenderError>> {
        audience.into_iter().map(|_| Ok(template.to_owned())).collect()
    }
}

export_renderer!(Plain);
