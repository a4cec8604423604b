//! Calls to renderers: one template, many contacts.

use dripline_domain::contact::Fields;

use crate::bindings::renderer::RendererPluginPre;
use crate::bindings::renderer::exports::dripline::plugin::renderer::{
    Field, RenderError as Refused,
};
use crate::error::PluginError;
use crate::session::{Session, Setting};
use crate::state::State;

/// Something wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1.
    pub column: u32,
    /// One sentence.
    pub text: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderCheckError {
    /// The author can put it right.
    #[error("the template does not fit renderer `{renderer}`: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Problems {
        /// Which renderer says so.
        renderer: String,
        /// In the order of the text.
        problems: Vec<Problem>,
    },
    /// The renderer itself failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// Why there is no text for one contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The renderer says why, for example that a field is missing.
    #[error("{text} ({code})")]
    Refused {
        /// For example `missing-field`.
        code: String,
        /// For people.
        text: String,
    },
    /// The text is too long for any message.
    #[error("the text has {actual_bytes} bytes; the limit is {limit_bytes}")]
    TooLong {
        /// The limit.
        limit_bytes: usize,
        /// The size.
        actual_bytes: usize,
    },
    /// The renderer failed on this contact, while others worked.
    #[error(transparent)]
    Plugin(PluginError),
}

impl RenderError {
    /// A stable code for programs: the renderer's own, or ours.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::TooLong { .. } => "text_too_long",
            Self::Plugin(error) => error.code(),
        }
    }
}

/// Failing calls after which a chunk is given up as a whole.
const MOST_FAILURES: u32 = 12;

/// The call that every renderer must stand when it is loaded: an empty template for one contact.
pub(crate) fn self_check(
    setting: Setting<'_>,
    pre: &RendererPluginPre<State>,
) -> Result<(), PluginError> {
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    session
        .call("check", "", |store, plugin| plugin.dripline_plugin_renderer().call_check(store, ""))
        .map(drop)
}

/// The fields that a template reads.
pub(crate) fn check(
    setting: Setting<'_>,
    pre: &RendererPluginPre<State>,
    template: &str,
) -> Result<Vec<String>, RenderCheckError> {
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    let checked = session.call("check", "", |store, plugin| {
        plugin.dripline_plugin_renderer().call_check(store, template)
    })?;
    checked.map_err(|problems| RenderCheckError::Problems {
        renderer: setting.plugin.to_owned(),
        problems: problems
            .into_iter()
            .map(|p| Problem { line: p.line, column: p.column, text: p.text })
            .collect(),
    })
}

/// Renders a chunk in one call. When that fails, the chunk is halved until the contacts that the
/// renderer fails on are alone; unless it fails so often that it is the renderer's fault.
pub(crate) fn render<T>(
    setting: Setting<'_>,
    pre: &RendererPluginPre<State>,
    template: &str,
    audience: &[Fields],
    each: impl Fn(String) -> T,
) -> Result<Vec<Result<T, RenderError>>, PluginError> {
    let fields: Vec<Vec<Field<'_>>> = audience.iter().map(fields).collect();
    let fields: Vec<&[Field<'_>]> = fields.iter().map(Vec::as_slice).collect();
    let limit = setting.limits.text_bytes;
    let mut texts = Vec::with_capacity(audience.len());
    let mut failures = 0;
    let mut session = Session::new(setting, |store| pre.instantiate(store));
    // A stack of what is left to do, the next part last.
    let mut left = vec![fields.as_slice()];
    while let Some(part) = left.pop() {
        let called = session.call("render", template, |store, plugin| {
            plugin.dripline_plugin_renderer().call_render(store, template, part)
        });
        match called.and_then(|rendered| counted(setting, rendered, part.len())) {
            Ok(rendered) => {
                texts.extend(rendered.into_iter().map(|text| text_of(text, limit).map(&each)));
            }
            Err(error) => {
                failures += 1;
                if failures >= MOST_FAILURES || audience.len() == 1 {
                    return Err(error);
                }
                if let [_] = part {
                    texts.push(Err(RenderError::Plugin(error)));
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
    }
    Ok(texts)
}

fn fields(contact: &Fields) -> Vec<Field<'_>> {
    contact.iter().map(|(name, value)| Field { name, value }).collect()
}

type Rendered = Vec<Result<String, Refused>>;

fn counted(
    setting: Setting<'_>,
    rendered: Rendered,
    wanted: usize,
) -> Result<Rendered, PluginError> {
    if rendered.len() == wanted {
        return Ok(rendered);
    }
    let plugin = setting.plugin.to_owned();
    Err(PluginError::WrongCount { plugin, wanted, actual: rendered.len() })
}

fn text_of(rendered: Result<String, Refused>, limit: usize) -> Result<String, RenderError> {
    match rendered {
        Ok(text) if text.len() > limit => {
            Err(RenderError::TooLong { limit_bytes: limit, actual_bytes: text.len() })
        }
        Ok(text) => Ok(text),
        Err(refused) => Err(RenderError::Refused { code: refused.code, text: refused.text }),
    }
}
