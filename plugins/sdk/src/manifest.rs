//! How a carrier describes itself.

use crate::Attribute;

/// What the host and the operator must know before the first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's name, as routes call it: lowercase letters, digits and dashes.
    pub name: String,
    /// The plugin's own version, usually `env!("CARGO_PKG_VERSION")`.
    pub version: String,
    /// What a route must or may set.
    pub settings: Vec<Setting>,
    /// Origins this carrier talks to, as `https://host[:port]`, or `{setting}` where a setting holds
    /// the origin.
    pub origins: Vec<String>,
    /// What protects against a second copy when an attempt ends without an answer.
    pub duplicates: DuplicateClass,
    /// How this carrier counts segments.
    pub segments: SegmentRules,
    /// Whatever else the host or an operator may want to read.
    pub attributes: Vec<Attribute>,
}

impl Manifest {
    /// A carrier without settings and origins, with the usual segment rules, and with no protection
    /// against duplicates: the honest default.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            settings: Vec::new(),
            origins: Vec::new(),
            duplicates: DuplicateClass::Lost,
            segments: SegmentRules::default(),
            attributes: Vec::new(),
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, setting: Setting) -> Self {
        if let Some(kind) = &setting.kind {
            let name = format!("setting.{}.type", setting.name);
            self.attributes.push(Attribute::new(name, kind));
        }
        self.settings.push(setting);
        self
    }

    /// Adds an origin.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Says what protects against duplicates.
    #[must_use]
    pub fn duplicates(mut self, class: DuplicateClass) -> Self {
        self.duplicates = class;
        self
    }

    /// Says that the carrier keeps our reference as an idempotency key, and for how long, counted from
    /// the first request with it. Never promise more than its documentation does: while the key is kept, a
    /// request without an answer is made again.
    #[must_use]
    pub fn key_lifetime(self, seconds: u32) -> Self {
        self.duplicates(DuplicateClass::Key).attribute("key.lifetime-seconds", seconds.to_string())
    }

    /// Says how long after a hand-over the carrier's answer that it does not have a message is final. The
    /// host assumes 900 seconds.
    #[must_use]
    pub fn lookup_final_after(self, seconds: u32) -> Self {
        self.duplicates(DuplicateClass::Query)
            .attribute("lookup.final-after-seconds", seconds.to_string())
    }

    /// Says that the carrier signs nothing of what it tells a [`crate::Webhook`]. The secret part of the
    /// callback's address is then all that keeps others from telling lies.
    #[must_use]
    pub fn unsigned_webhooks(self) -> Self {
        self.attribute("webhook.unsigned", "true")
    }

    /// The same of those routes alone whose setting of this name, a flag, is `true`: where a gateway may sign or not.
    #[must_use]
    pub fn unsigned_webhooks_where(self, setting: &str) -> Self {
        self.attribute("webhook.unsigned", format!("{{{setting}}}"))
    }

    /// Says at most how many segments one sender may send in a second, by the carrier's documentation.
    /// A hint for whoever adds a route.
    #[must_use]
    pub fn segments_per_second(self, segments: u32) -> Self {
        self.attribute("throttle.segments-per-second", segments.to_string())
    }

    /// Says at most how many segments one sender may send in a day, by the carrier's documentation. A hint
    /// for whoever adds a route.
    #[must_use]
    pub fn segments_per_day(self, segments: u32) -> Self {
        self.attribute("throttle.segments-per-day", segments.to_string())
    }

    /// Says that the carrier wants a client's id and secret form-encoded where [`crate::Token`] puts them into
    /// `Authorization: Basic`, as RFC 6749 has it (section 2.3.1). The host puts them in as they are without it, which
    /// is the same for letters, digits and `-._~`.
    #[must_use]
    pub fn form_encoded_client(self) -> Self {
        self.attribute("token.client", "form-encoded")
    }

    /// Says what the carrier sends texts in. The host assumes [`TextEncoding::Gsm7`] and [`TextEncoding::Ucs2`], one of
    /// which must be there: it refuses a text that needs another one before anything is sent.
    #[must_use]
    pub fn encodings(self, encodings: &[TextEncoding]) -> Self {
        let words: Vec<_> = encodings.iter().map(|encoding| encoding.word()).collect();
        self.attribute("text.encodings", words.join(","))
    }

    /// Says that a text has at most so many characters, whatever its segments. The host refuses a longer one before
    /// anything is sent. A character is a UTF-16 code unit, so that an emoji is two.
    #[must_use]
    pub fn max_characters(self, characters: u32) -> Self {
        self.attribute("text.max-characters", characters.to_string())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn believes_unsigned(&self, settings: &crate::Settings) -> bool {
        let found = self.attributes.iter().find(|attribute| attribute.name == "webhook.unsigned");
        found.is_some_and(|Attribute { value, .. }| {
            let setting = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            setting.map_or(value == "true", |name| settings.get(name) == Some("true"))
        })
    }

    /// Says how segments are counted.
    #[must_use]
    pub fn segments(mut self, rules: SegmentRules) -> Self {
        self.segments = rules;
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push(Attribute::new(name, value));
        self
    }
}

/// One setting that a route must or may give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Lowercase letters, digits and underscores.
    pub name: String,
    /// One sentence for the person who fills it in.
    pub text: String,
    /// Whether a route without it is refused.
    pub required: bool,
    /// What holds when the route does not set it.
    pub default: Option<String>,
    /// A secret's value never reaches the plugin; the plugin names it in a credential.
    pub secret: bool,
    /// What a value must be, as the manifest's attribute `setting.NAME.type` says it; any text without it.
    pub kind: Option<String>,
}

impl Setting {
    /// A setting that every route gives.
    pub fn required(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            required: true,
            default: None,
            secret: false,
            kind: None,
        }
    }

    /// A setting that a route may give.
    pub fn optional(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { required: false, ..Self::required(name, text) }
    }

    /// A secret that every route gives, by reference.
    pub fn secret(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { secret: true, ..Self::required(name, text) }
    }

    /// A secret that a route may give.
    pub fn optional_secret(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { required: false, ..Self::secret(name, text) }
    }

    /// Says that a value is an origin, `https://host[:port]`. The host refuses any other.
    #[must_use]
    pub fn origin(self) -> Self {
        Self { kind: Some("origin".to_owned()), ..self }
    }

    /// Says that a value is a whole number from 0. The host refuses any other.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { kind: Some("whole".to_owned()), ..self }
    }

    /// Says that a value is `true` or `false`. The host refuses any other.
    #[must_use]
    pub fn flag(self) -> Self {
        self.one_of(&["true", "false"])
    }

    /// Says that a value is one of these words. The host refuses any other.
    #[must_use]
    pub fn one_of(self, words: &[&str]) -> Self {
        Self { kind: Some(format!("one-of:{}", words.join("|"))), ..self }
    }

    /// Says what holds when the route does not set it. The setting is then optional.
    #[must_use]
    pub fn default(mut self, value: impl Into<String>) -> Self {
        self.default = Some(value.into());
        self.required = false;
        self
    }
}

/// What a carrier sends texts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEncoding {
    /// The default alphabet of GSM 03.38 with its extension table.
    Gsm7,
    /// UTF-16, for whatever GSM-7 does not have. Without GSM-7 all texts are counted as UCS-2.
    Ucs2,
    /// The carrier may replace characters by such of GSM-7 that look alike, and so need fewer segments. A price does not
    /// count on it.
    Smart,
}

impl TextEncoding {
    /// As the manifest's attribute `text.encodings` has it.
    fn word(self) -> &'static str {
        match self {
            Self::Gsm7 => "gsm7",
            Self::Ucs2 => "ucs2",
            Self::Smart => "smart",
        }
    }
}

/// What protects against a second copy when an attempt ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateClass {
    /// The carrier keeps an idempotency key: the same request may be sent again, as long as
    /// [`Manifest::key_lifetime`] says.
    Key,
    /// The carrier can be asked by our reference: see [`crate::Lookup`].
    Query,
    /// Neither: only a receipt or a person can tell.
    Lost,
}

/// How a carrier counts segments. Units are septets for GSM-7, UTF-16 code units for UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRules {
    /// Units of a GSM-7 message that is one segment.
    pub gsm7_single: u16,
    /// Units of each segment of a longer GSM-7 message.
    pub gsm7_multi: u16,
    /// Units of a UCS-2 message that is one segment.
    pub ucs2_single: u16,
    /// Units of each segment of a longer UCS-2 message.
    pub ucs2_multi: u16,
    /// What is never cut in two at a segment's end.
    pub atom: Atom,
    /// More segments than this are refused before anything is sent.
    pub max_segments: u16,
}

impl Default for SegmentRules {
    /// A six-octet header, code points kept whole, and as many segments as the header can count.
    fn default() -> Self {
        Self {
            gsm7_single: 160,
            gsm7_multi: 153,
            ucs2_single: 70,
            ucs2_multi: 67,
            atom: Atom::CodePoint,
            max_segments: 255,
        }
    }
}

/// What may never be cut in two at a segment's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atom {
    /// A code point: surrogate pairs and escaped characters stay whole.
    CodePoint,
    /// A grapheme cluster: flags and joined emoji stay whole too.
    Grapheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_the_words_of_the_contract() {
        let all = [TextEncoding::Gsm7, TextEncoding::Ucs2, TextEncoding::Smart];
        let manifest = Manifest::new("acme", "1").encodings(&all).max_characters(1_600);
        let expected = [("text.encodings", "gsm7,ucs2,smart"), ("text.max-characters", "1600")];
        assert_eq!(manifest.attributes, expected.map(|(name, value)| Attribute::new(name, value)));
    }
}
