//! Whether a request is the gateway's, by the route's settings.

use dripline_plugin_sdk::{Hash, Hook, Rejection, Settings, encoding, verify};

use crate::document::{Document, Format};
use crate::hooks::Mistake;

/// The secret under which everything is proved.
const SECRET: &str = "hook_secret";

/// What a request must show.
pub(crate) struct Proof<'a> {
    place: Place,
    /// Of the header or field.
    name: &'a str,
    prefix: &'a str,
    kind: Kind<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Query,
    /// Where the report's own fields are.
    Field,
}

enum Kind<'a> {
    /// The secret itself.
    Secret,
    /// The HMAC of these, one behind the other.
    Hmac { hash: Hash, is_base64: bool, signed: Vec<Piece<'a>> },
}

#[derive(PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Body,
    Url,
    Header(&'a str),
}

impl<'a> Proof<'a> {
    /// The route's; none when it asks for none.
    pub(crate) fn of(settings: &'a Settings, format: Format) -> Result<Option<Self>, Mistake> {
        let Some(kind) = settings.get("hook_proof") else { return Ok(None) };
        let place = match settings.get_or("hook_proof_in", "header") {
            "query" => Place::Query,
            "field" => Place::Field,
            _ => Place::Header,
        };
        let Some(name) = settings.get("hook_proof_at") else {
            let text = "`hook_proof_at` is missing: where is the secret or the signature?";
            return Err(Mistake(text.to_owned()));
        };
        if place == Place::Field {
            format.check(settings, "hook_proof_at")?;
        }
        let kind = match kind {
            "secret" => Kind::Secret,
            kind => Kind::Hmac {
                hash: if kind == "hmac-sha1" { Hash::Sha1 } else { Hash::Sha256 },
                is_base64: settings.get("hook_signature") == Some("base64"),
                signed: signed(settings, format, place)?,
            },
        };
        let prefix = settings.get_or("hook_proof_prefix", "");
        Ok(Some(Self { place, name, prefix, kind }))
    }

    /// Nothing of a request is believed before this has said yes.
    pub(crate) fn check(&self, hook: &Hook, document: Option<&Document>) -> Result<(), Rejection> {
        let shown = match self.place {
            Place::Header => hook.header(self.name).map(str::to_owned),
            Place::Query => {
                let found = hook.query().into_iter().find(|(name, _)| name == self.name);
                found.map(|(_, value)| value)
            }
            Place::Field => document.and_then(|document| document.fields().at(self.name)),
        };
        let shown = shown.as_deref().and_then(|shown| shown.strip_prefix(self.prefix));
        // A space at the end of a prefix, as in `Bearer `, is easily lost where settings are written.
        let shown = shown.map(str::trim_start).ok_or_else(Rejection::forged)?;
        match &self.kind {
            Kind::Secret => verify::equal(SECRET, shown),
            Kind::Hmac { hash, is_base64, signed } => {
                let decoded = if *is_base64 {
                    encoding::from_base64(shown)
                } else {
                    encoding::from_hex(shown)
                };
                let signature = decoded.ok_or_else(Rejection::forged)?;
                verify::hmac(*hash, SECRET, &message(signed, hook)?, &signature)
            }
        }
    }
}

/// What is signed. It must hold all that is read, or a signature would prove what somebody else wrote.
fn signed(settings: &Settings, format: Format, place: Place) -> Result<Vec<Piece<'_>>, Mistake> {
    let pieces = pieces(settings.get_or("hook_signed", "{{body}}"))?;
    let (wanted, name) = match format {
        Format::Query => (Piece::Url, "{{url}}"),
        Format::Json | Format::Form => (Piece::Body, "{{body}}"),
    };
    if !pieces.contains(&wanted) {
        let text = format!("`hook_signed` leaves out `{name}`, so that anybody could change it");
        return Err(Mistake(text));
    }
    let within = match place {
        Place::Header => false,
        Place::Query => pieces.contains(&Piece::Url),
        Place::Field => true,
    };
    if within {
        return Err(Mistake("a signature cannot stand in what it signs".to_owned()));
    }
    Ok(pieces)
}

impl<'a> Piece<'a> {
    /// What a placeholder of this name stands for.
    fn named(name: &'a str) -> Result<Self, Mistake> {
        match (name, name.strip_prefix("header:")) {
            ("body", _) => Ok(Self::Body),
            ("url", _) => Ok(Self::Url),
            (_, Some(header)) => Ok(Self::Header(header.trim())),
            _ => Err(Mistake(format!(
                "`hook_signed` has the placeholder `{{{{{name}}}}}`, which there is not"
            ))),
        }
    }
}

fn pieces(template: &str) -> Result<Vec<Piece<'_>>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        pieces.push(Piece::Text(before));
        pieces.push(Piece::named(name.trim())?);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn message(pieces: &[Piece<'_>], hook: &Hook) -> Result<Vec<u8>, Rejection> {
    let mut message = Vec::with_capacity(hook.body.len());
    for piece in pieces {
        message.extend_from_slice(match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Body => &hook.body,
            Piece::Url => hook.url.as_bytes(),
            Piece::Header(name) => hook.require(name)?.as_bytes(),
        });
    }
    Ok(message)
}
