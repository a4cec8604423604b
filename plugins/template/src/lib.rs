//! The renderer `template`: a contact's fields put into a text.
//!
//! ```jinja
//! Hi {{ first_name | default("there") }}, your {{ plan | upper }} plan
//! {%- if city %} in {{ city }}{% endif %} starts today.
//! ```
//!
//! Inside is [minijinja], whose language is Jinja2's, without whatever could read another template,
//! call a function or loop for long. Nothing is escaped: a text message is no web page. Nothing is
//! normalised either; the host does that to every text alike.
//!
//! # Missing fields
//! A field that the contact lacks, or that holds only blanks, is *missing*. Printing a missing field is
//! an error (`missing-field`, which names it), because a message that says "Hi ," is worse than
//! none. What may be done with one: give it a [`default`], ask for it in `{% if city %}` or
//! `{% if city is defined %}`, or offer another by `or`.
//!
//! A template that begins with the comment `{# lenient #}` prints nothing for a missing field instead.
//!
//! # Whitespace
//! A line that holds nothing but a `{% tag %}` or a comment leaves nothing behind, not even its line
//! break: line breaks are billed. One line break at the end of the template is dropped.
//!
//! # Filters
//! [`default`] (or `d`), `upper`, `lower`, `capitalize`, `title`, `trim`, `replace(old, new)`,
//! `truncate(length, end)`, `split(separator)`, `first`, `last`, `join(separator)`, `length`, `int`,
//! `float`. Tests: `defined` and `undefined`.
//!
//! For names: `name` puts capitals right where somebody typed all or none, `first_name` and `last_name` take a
//! part ("Dr. Anne-Marie O'Neill" is "Anne-Marie"). For dates: `date(format)` says a day such as 2026-11-26 in the
//! format of [`strftime`], `{{ due | date("%d.%m.%Y") }}`. For money: `money(point, separator)` has two decimals,
//! "1,234.50", `{{ sum | money(",", ".") }}` "1.234,50".
//!
//! `spin` chooses one of several texts, always the same one for the same contact, whatever becomes of its fields:
//! `{{ ["Hi", "Hello", "Hey"] | spin }} {{ name }}`. `spin(salt)` lets another list of the same texts differ.
//!
//! # Errors
//! | code | meaning |
//! |---|---|
//! | `missing-field` | the contact lacks a field that the text needs |
//! | `not-a-number` | `int`, `float` or `money` met something else |
//! | `not-a-date`, `not-a-format` | `date` met something else, or has a format that no day can have |
//! | `nothing-to-spin` | `spin` met an empty list |
//! | `too-much-work` | the template's loops do more than a message can need |
//! | `template-error` | anything else, with its line |
//!
//! No error ever quotes a field's value.
//!
//! [minijinja]: https://docs.rs/minijinja
//! [`strftime`]: https://docs.rs/chrono/latest/chrono/format/strftime/index.html
//! [`default`]: https://docs.rs/minijinja/latest/minijinja/filters/fn.default.html

mod bounds;
mod check;
mod contact;
mod filters;
mod names;

use dripline_plugin_sdk::{Fields, Problem, RenderError, Renderer, export_renderer};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use contact::Contact;

/// Steps of the engine for one contact: some hundred times what a long message takes.
const FUEL: u64 = 50_000;

/// The renderer.
pub struct Template;

impl Renderer for Template {
    fn check(template: &str) -> Result<Vec<String>, Vec<Problem>> {
        check::check(&environment(template), template)
    }

    fn render(template: &str, audience: Vec<Fields>) -> Vec<Result<String, RenderError>> {
        let refuse = |text: String| {
            let error = RenderError::new("template-error", text);
            audience.iter().map(|_| Err(error.clone())).collect()
        };
        if let Some((_, text)) = bounds::excess(template) {
            return refuse(text);
        }
        let environment = environment(template);
        let parsed = match environment.template_from_str(template) {
            Ok(parsed) => parsed,
            Err(error) => return refuse(check::engine_text(&error)),
        };
        let strict = !is_lenient(template);
        let chooses = template.contains("spin");
        let render = |fields| {
            let contact = Contact::begin(fields, chooses);
            let rendered = parsed.render(contact.into_value());
            match (rendered, contact::missing_field_printed()) {
                (Ok(_), Some(name)) if strict => Err(RenderError::missing_field(&name)),
                (Ok(text), _) => Ok(text),
                (Err(error), printed) => Err(render_error(&error, printed.filter(|_| strict))),
            }
        };
        audience.into_iter().map(render).collect()
    }
}

export_renderer!(Template);

/// Whether the template begins with `{# lenient #}`.
fn is_lenient(template: &str) -> bool {
    template
        .strip_prefix("{#")
        .and_then(|rest| rest.split_once("#}"))
        .is_some_and(|(comment, _)| comment.trim_matches(['-', '+', ' ']) == "lenient")
}

/// The whitespace rules of this renderer, in which everything is as Jinja2 has it but lines of tags.
fn syntax() -> SyntaxConfig {
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    syntax.build().expect("the delimiters are the engine's own")
}

fn environment(template: &str) -> Environment<'_> {
    let mut environment = Environment::empty();
    environment.set_debug(false);
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    let lenient = is_lenient(template);
    environment.set_undefined_behavior(if lenient {
        UndefinedBehavior::Chainable
    } else {
        UndefinedBehavior::SemiStrict
    });
    filters::add_to(&mut environment);
    environment
}

/// An error in this renderer's words: the engine's own may quote a field's value.
fn render_error(error: &Error, printed: Option<String>) -> RenderError {
    if let Some(name) = printed {
        return RenderError::missing_field(&name);
    }
    let line = error.line().unwrap_or(1);
    if let Some(refusal) = filters::refusal(error) {
        return RenderError::new(refusal.code, format!("line {line}: {}", refusal.text));
    }
    let text = match error.kind() {
        ErrorKind::OutOfFuel => {
            let text = format!("line {line}: the loops do more than a message can need");
            return RenderError::new("too-much-work", text);
        }
        ErrorKind::UndefinedError => "uses a value that is not there",
        ErrorKind::UnknownFilter => "uses a filter that does not exist",
        ErrorKind::UnknownTest => "uses a test that does not exist",
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => "calls something",
        ErrorKind::MissingArgument | ErrorKind::TooManyArguments => {
            "gives a filter the wrong number of arguments"
        }
        _ => "does something that these values do not allow",
    };
    let missing = contact::missing_field_read()
        .map(|name| format!(" (the contact has no field `{name}`)"))
        .unwrap_or_default();
    RenderError::new("template-error", format!("line {line} {text}{missing}"))
}
