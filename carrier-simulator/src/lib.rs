//! A carrier to test against.
//!
//! The simulator is the other side of every comparison: a process of its own that speaks Twilio's
//! Messages API as strictly as the original, counts segments by its own code, and writes down what it
//! decided before it answers. None of Dripline's crates is among its dependencies, so that no mistake
//! of theirs can hide in it.
//!
//! | module | what it holds |
//! |---|---|
//! | `apis` | other carriers' APIs |
//! | [`messages`] | Twilio's API: what is asked for, what is refused and how, what an answer looks like |
//! | [`segments`] | the simulator's own count |
//! | [`faults`] | what goes wrong, when, and for whom |
//! | [`reports`] | what the carrier tells afterwards, and its signatures |
//! | [`tokens`] | tokens for a client's credentials |
//! | [`log`] | what was decided, one JSON line a request; and reading it back |
//! | [`server`] | connections, answers, stopping |
//!
//! # What is simulated
//! `POST /2010-04-01/Accounts/{AccountSid}/Messages.json`, after Twilio's [Message resource] and
//! [error dictionary]: basic authentication with the account's or an API key's SID, a form body, the
//! required parameters, E.164 numbers, 1,600 characters, and the [magic numbers] of Twilio's test
//! credentials. Beside it, under `/_simulator/` and with the same credentials:
//!
//! * `GET /_simulator/stats` counts requests and decisions since the start.
//! * `PUT /_simulator/faults` replaces the fault plan by the one in its body, in TOML.
//! * `POST /_simulator/inbound` brings a message that somebody writes to the callback in its body.
//!
//! With `[reports]` in the fault plan, Twilio's, Telnyx' and Vonage's APIs report on each message that has a callback,
//! and everything that they tell is signed.
//!
//! What other carriers have and Twilio has not, with the same form, judgement and faults:
//!
//! * `POST /keyed/{AccountSid}/messages` keeps the header `Idempotency-Key`: the same request under the
//!   same key is answered as before and not taken again; another one is refused with 409.
//! * `POST /queried/{AccountSid}/messages` remembers the header `X-Dripline-Reference`, and
//!   `GET /queried/{AccountSid}/messages?reference=..` lists what was taken under it.
//!
//! * `POST /tokens/oauth` gives tokens for a client's own credentials (OAuth 2, RFC 6749), and
//!   `POST /tokens/{AccountSid}/messages` takes messages of those alone who have one that is still good. These are
//!   remembered by their references, too.
//!
//! The APIs of Telnyx, Vonage, Plivo, Sinch, Infobip, Bird and AWS, each with its own addresses, bodies,
//! credentials and errors (`apis`), and the same faults and log. The account's SID stands for whatever each of
//! them calls an account, its auth token for their keys.
//!
//! [Message resource]: https://www.twilio.com/docs/messaging/api/message-resource
//! [error dictionary]: https://www.twilio.com/docs/api/errors
//! [magic numbers]: https://www.twilio.com/docs/iam/test-credentials
//!
//! # How to add a fault
//! A case in [`faults::Fault`], its name in the fault plan's format, and what it does to the answer in
//! `server::answer`.

mod apis;
pub mod faults;
pub mod log;
pub mod messages;
pub mod reports;
pub mod segments;
pub mod server;
pub mod tokens;
