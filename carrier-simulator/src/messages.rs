//! The API: what is asked for, what is refused and how, what an answer looks like.
//!
//! After Twilio's documentation of the [Message resource], its [error dictionary] and the [magic
//! numbers] of its test credentials, read in November 2026. Texts of errors are the original's, with
//! the number that it quotes, since a client has to keep that out of its logs.
//!
//! [Message resource]: https://www.twilio.com/docs/messaging/api/message-resource
//! [error dictionary]: https://www.twilio.com/docs/api/errors
//! [magic numbers]: https://www.twilio.com/docs/iam/test-credentials

mod account;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::segments;
use account::is_sid;
pub use account::{Account, InvalidAccount};

/// The longest text, in characters.
const MAX_CHARACTERS: usize = 1_600;

/// The account in a path, when it is the path of the Messages resource.
pub fn account_in_path(path: &str) -> Option<&str> {
    let account = path.strip_prefix("/2010-04-01/Accounts/")?.strip_suffix("/Messages.json")?;
    (!account.contains('/')).then_some(account)
}

/// A request to send a message, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The account in the path.
    pub account: &'a str,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What the form says. Parameters that the simulator has no use for are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form<'a> {
    /// The recipient.
    pub to: Cow<'a, str>,
    /// The sender.
    pub from: Cow<'a, str>,
    /// The messaging service that chooses the sender.
    pub messaging_service_sid: Cow<'a, str>,
    /// The text.
    pub body: Cow<'a, str>,
    /// Where the client wants to hear how it ends.
    pub status_callback: Cow<'a, str>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Twilio's error code, or another carrier's; zero where it has none.
    pub code: u32,
    /// What another carrier calls it; empty with Twilio.
    pub name: &'static str,
    /// What a person reads.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, name: "", message: message.into() }
    }

    /// A refusal of a carrier that has names for its errors.
    pub fn named(status: u16, code: u32, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, name, message: message.into() }
    }

    /// The answer's body.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Answer<'a> {
            code: u32,
            message: &'a str,
            more_info: String,
            status: u16,
        }
        let answer = Answer {
            code: self.code,
            message: &self.message,
            more_info: format!("https://www.twilio.com/docs/errors/{}", self.code),
            status: self.status,
        };
        serde_json::to_vec(&answer).expect("numbers and strings")
    }
}

impl<'a> Form<'a> {
    /// Reads the body. One that is not a form says nothing, as with the original, which then misses
    /// the first required parameter.
    pub fn read(asked: &Asked<'a>) -> Self {
        let mut form = Self::default();
        let kind = asked.content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return form;
        }
        for (name, value) in form_urlencoded::parse(asked.body) {
            match &*name {
                "To" => form.to = value,
                "From" => form.from = value,
                "MessagingServiceSid" => form.messaging_service_sid = value,
                "Body" => form.body = value,
                "StatusCallback" => form.status_callback = value,
                _ => {}
            }
        }
        form
    }

    /// Who the message comes from, for the log.
    pub fn sender(&self) -> &str {
        if self.from.is_empty() { &self.messaging_service_sid } else { &self.from }
    }
}

/// Whether the request may be answered at all: it must have the right credentials and an account that
/// they belong to.
pub fn admit(account: &Account, asked: &Asked<'_>) -> Result<(), Refusal> {
    if !account.admits(asked.authorization) {
        return Err(Refusal::new(401, 20003, "Authenticate"));
    }
    if asked.account != account.sid() {
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", asked.account);
        let message = format!("The requested resource {path} was not found");
        return Err(Refusal::new(404, 20404, message));
    }
    Ok(())
}

/// Checks a form, and counts the segments of its text when nothing is wrong with it.
pub fn judge(form: &Form<'_>) -> Result<u32, Refusal> {
    let refuse = |code, message: String| Err(Refusal::new(400, code, message));
    let (to, from) = (&*form.to, &*form.from);
    if to.is_empty() {
        return refuse(21604, "A 'To' phone number is required.".to_owned());
    }
    if from.is_empty() && form.messaging_service_sid.is_empty() {
        return refuse(21603, "A 'From' phone number is required.".to_owned());
    }
    if form.body.is_empty() {
        return refuse(21602, "Message body is required.".to_owned());
    }
    let magic = |number: &str| number.strip_prefix("+1500555000").map(str::to_owned);
    match magic(to).as_deref() {
        Some("1") => return refuse(21211, invalid_to(to)),
        Some("2") => return refuse(21612, format!("'To' number {to} is not reachable")),
        Some("3") => {
            let message = format!("Permission to send an SMS has not been enabled for {to}");
            return refuse(21408, message);
        }
        Some("4") => return refuse(21610, "Attempt to send to unsubscribed recipient".to_owned()),
        Some("9") => return refuse(21614, format!("'To' number {to} is not a mobile number")),
        _ => {}
    }
    if !is_e164(to) {
        return refuse(21211, invalid_to(to));
    }
    if from.is_empty() {
        if !is_sid(&form.messaging_service_sid, "MG") {
            let message = "The Messaging Service resource does not exist.".to_owned();
            return refuse(21701, message);
        }
    } else {
        match magic(from).as_deref() {
            Some("7") => {
                let message = format!("The 'From' phone number {from} is not SMS-capable");
                return refuse(21606, message);
            }
            Some("8") => {
                let message = format!("This 'From' number {from} has too many queued messages");
                return refuse(21611, message);
            }
            Some("1") => return refuse(21212, invalid_from(from)),
            _ if !is_e164(from) && !is_sender_name(from) => {
                return refuse(21212, invalid_from(from));
            }
            _ if from == to => {
                let message = "'To' and 'From' number cannot be the same".to_owned();
                return refuse(21266, message);
            }
            _ => {}
        }
    }
    if form.body.chars().count() > MAX_CHARACTERS {
        let message = "The concatenated message body exceeds the 1600 character limit.".to_owned();
        return refuse(21617, message);
    }
    let callback = &*form.status_callback;
    if !(callback.is_empty() || callback.starts_with("https://") || callback.starts_with("http://"))
    {
        return refuse(21609, format!("The StatusCallback URL {callback} is not a valid URL."));
    }
    Ok(segments::count(&form.body))
}

fn invalid_to(to: &str) -> String {
    format!("Invalid 'To' Phone Number: {to}")
}

fn invalid_from(from: &str) -> String {
    format!(
        "The 'From' number {from} is not a valid phone number, shortcode, or alphanumeric sender ID."
    )
}

pub(crate) fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// A short code, or up to eleven letters, digits and spaces with a letter among them.
pub(crate) fn is_sender_name(name: &str) -> bool {
    let short_code = (5..=6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit());
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'&' | b'-' | b'+' | b'_');
    short_code
        || (name.len() <= 11
            && name.bytes().all(fits)
            && name.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// A new message's id.
pub fn new_sid() -> String {
    format!("SM{:032x}", rand::random::<u128>())
}

/// The answer's body for a message that was accepted.
pub fn created(
    account: &str,
    form: &Form<'_>,
    segments: u32,
    sid: &str,
    at: DateTime<Utc>,
) -> Vec<u8> {
    #[derive(Serialize)]
    struct Message<'a> {
        account_sid: &'a str,
        api_version: &'a str,
        body: &'a str,
        date_created: &'a str,
        date_sent: Option<&'a str>,
        date_updated: &'a str,
        direction: &'a str,
        error_code: Option<u32>,
        #[serde(rename = "error_message")]
        error_text: Option<&'a str>,
        from: Option<&'a str>,
        messaging_service_sid: Option<&'a str>,
        num_media: &'a str,
        num_segments: String,
        price: Option<&'a str>,
        price_unit: Option<&'a str>,
        sid: &'a str,
        status: &'a str,
        to: &'a str,
        uri: String,
    }
    fn given(text: &str) -> Option<&str> {
        Some(text).filter(|text| !text.is_empty())
    }
    let date = at.format("%a, %d %b %Y %H:%M:%S +0000").to_string();
    let service = given(&form.messaging_service_sid);
    let message = Message {
        account_sid: account,
        api_version: "2010-04-01",
        body: &form.body,
        date_created: &date,
        date_sent: None,
        date_updated: &date,
        direction: "outbound-api",
        error_code: None,
        error_text: None,
        from: given(&form.from),
        messaging_service_sid: service,
        num_media: "0",
        // A messaging service has not chosen a sender yet, so that the original says 0.
        num_segments: if service.is_some() { "0".to_owned() } else { segments.to_string() },
        price: None,
        price_unit: None,
        sid,
        status: if service.is_some() { "accepted" } else { "queued" },
        to: &form.to,
        uri: format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
    };
    serde_json::to_vec(&message).expect("numbers and strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AC00000000000000000000000000000001";

    fn form(body: &str) -> Form<'_> {
        Form::read(&Asked {
            account: SID,
            authorization: None,
            content_type: Some("application/x-www-form-urlencoded; charset=utf-8"),
            body: body.as_bytes(),
        })
    }

    #[test]
    fn what_twilio_refuses_is_refused() {
        let check = |body: &str, expected: Result<u32, u32>| {
            assert_eq!(judge(&form(body)).map_err(|refusal| refusal.code), expected, "{body}");
        };
        check("To=%2B12025550123&From=%2B12025550100&Body=Hi", Ok(1));
        check("To=%2B12025550123&From=ACME&Body=Hi", Ok(1));
        check("To=%2B12025550123&From=12345&Body=Hi", Ok(1));
        let service = "MessagingServiceSid=MG0123456789abcdef0123456789abcdef";
        check(&format!("To=%2B12025550123&{service}&Body=Hi"), Ok(1));
        check("To=%2B12025550123&MessagingServiceSid=MG1&Body=Hi", Err(21701));
        check("From=%2B12025550100&Body=Hi", Err(21604));
        check("To=%2B12025550123&Body=Hi", Err(21603));
        check("To=%2B12025550123&From=%2B12025550100", Err(21602));
        check("To=12025550123&From=%2B12025550100&Body=Hi", Err(21211));
        check("To=%2B12025550123&From=no%21&Body=Hi", Err(21212));
        check("To=%2B12025550123&From=%2B12025550123&Body=Hi", Err(21266));
        check("To=%2B15005550004&From=%2B12025550100&Body=Hi", Err(21610));
        check("To=%2B15005550009&From=%2B12025550100&Body=Hi", Err(21614));
        check("To=%2B12025550123&From=%2B15005550008&Body=Hi", Err(21611));
        let long = |n| format!("To=%2B12025550123&From=%2B12025550100&Body={}", "a".repeat(n));
        check(&long(1600), Ok(11));
        check(&long(1601), Err(21617));
        let callback =
            |url| format!("To=%2B12025550123&From=%2B12025550100&Body=Hi&StatusCallback={url}");
        check(&callback("https%3A%2F%2Fexample.com%2F"), Ok(1));
        check(&callback("example.com"), Err(21609));
    }

    #[test]
    fn another_content_type_says_nothing() {
        let asked = Asked {
            account: SID,
            authorization: None,
            content_type: Some("application/json"),
            body: br#"{"To":"+12025550123"}"#,
        };
        assert_eq!(Form::read(&asked), Form::default());
    }

    #[test]
    fn paths() {
        let check = |path: &str, expected| assert_eq!(account_in_path(path), expected, "{path}");
        check("/2010-04-01/Accounts/AC1/Messages.json", Some("AC1"));
        check("/2010-04-01/Accounts/AC1/x/Messages.json", None);
        check("/2010-04-01/Accounts/AC1/Messages", None);
        check("/", None);
    }
}
