//! Twilio.
use dripline_plugin_sdk::*;
/// Twilio.
pub struct Twilio;
#[derive(serde::Deserialize)]
struct Created {
    sid: String,
}
impl Carrier for Twilio {
    fn describe() -> Manifest {
        Manifest::new("twilio", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("account_sid", "Account SID"))
            .setting(Setting::optional("api_base", "Origin").default("https://api.twilio.com"))
            .setting(Setting::secret("auth_token", "Auth token"))
            .origin("{api_base}")
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }
    fn send_request(settings: &Settings, m: &Outgoing) -> Result<Request, Failure> {
        let sid = settings.require("account_sid")?;
        let base = settings.get_or("api_base", "https://api.twilio.com");
        Ok(Request::post(format!(
            "{base}/2010-04-01/Accounts/{}/Messages.json",
            http::path_segment(sid)
        ))
        .form([("To", m.recipient.expose()), ("From", &m.sender), ("Body", m.text.expose())])
        .header("x-dripline-reference", &m.reference)
        .basic(sid, "auth_token"))
    }
    fn send_outcome(_: &Settings, r: &Response) -> Result<Accepted, Failure> {
        if r.status == 201 {
            return r.json::<Created>().map(|c| Accepted::new(c.sid));
        }
        Err(Failure::from_status(r))
    }
}
export_carrier!(Twilio);
