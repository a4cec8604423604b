//! A workflow as a file: TOML that people keep in git.
//!
//! ```toml
//! name = "welcome"
//! surplus = "fail"            # or "charge": when a text needs more segments than were held
//!
//! [[steps]]
//! route = "main"              # where the message leaves
//! renderer = "template"       # the plugin that turns the template into text
//! after = "1d 2h"             # since the step before was sent; for the first, since enrolment
//! at = "09:30"                # not before this local time of the contact
//! days = ["mon", "tue"]       # only on these local days
//! expires_after = "6h"        # do not send later than this; release instead
//! template = "Hi {{ name }}"
//! ```
//!
//! [`read`] finds every problem of a file, each with its line, column and source line;
//! [`write()`] writes a file that reads back as the same workflow.

mod parse;
mod template_position;
mod writing;

pub(crate) use parse::{ReadFile, read};

pub(crate) use template_position::offset as template_offset;
pub(crate) use writing::{duration, write};
