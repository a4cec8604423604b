//! What Twilio does not have, and other carriers do: messages under an idempotency key, and questions by
//! the client's own reference. Beside that, these messages are asked for, judged, answered and spoilt by
//! faults as Twilio's are.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HeaderMap;
use hyper::{Method, Response};

use super::answer::{self, AnswerBody};
use super::{Carrier, Created, asked, now};
use crate::apis::{Api, Incoming};
use crate::log::LogEntry;
use crate::messages::{self, Account, Refusal};

/// The header in which a client gives its key.
pub const KEY_HEADER: &str = "idempotency-key";

/// Where messages are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Door {
    /// Twilio's own.
    Twilio,
    /// `/keyed/{AccountSid}/messages`.
    Keyed,
    /// `/queried/{AccountSid}/messages`.
    Queried,
    /// `/tokens/{AccountSid}/messages`.
    Tokened,
    /// Another carrier's.
    Other(Api),
}

impl Door {
    /// The door in a path, and the account.
    pub(super) fn in_path<'a>(
        path: &'a str,
        headers: &HeaderMap,
        known: &'a Account,
    ) -> Option<(Self, &'a str)> {
        if let Some(account) = messages::account_in_path(path) {
            return Some((Self::Twilio, account));
        }
        if let Some((api, account)) = Api::in_path(path, headers, known) {
            return Some((Self::Other(api), account));
        }
        let own =
            [("/keyed/", Self::Keyed), ("/queried/", Self::Queried), ("/tokens/", Self::Tokened)];
        let (door, rest) =
            own.into_iter().find_map(|(begin, door)| Some((door, path.strip_prefix(begin)?)))?;
        let account = rest.strip_suffix("/messages")?;
        (!account.contains('/')).then_some((door, account))
    }

    fn keeps_keys(self) -> bool {
        match self {
            Self::Keyed => true,
            Self::Other(api) => api.keeps_keys(),
            Self::Twilio | Self::Queried | Self::Tokened => false,
        }
    }
}

/// What the carrier remembers of messages it took.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By key.
    kept: Mutex<HashMap<String, Kept>>,
    /// Messages' ids, by the door and the client's reference.
    taken: Mutex<HashMap<(Door, String), Vec<String>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    request: Bytes,
    created: Created,
}

impl Memory {
    /// What was answered under this key, or the refusal of a key that stands for another request.
    pub(super) fn recall(
        &self,
        door: Door,
        key: &str,
        request: &Bytes,
    ) -> Result<Option<Created>, Refusal> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(key) {
            Some(kept) if kept.request != request => {
                let message = "The idempotency key was used for another request";
                let status = if door == Door::Other(Api::Telnyx) { 422 } else { 409 };
                Err(Refusal::new(status, 20409, message))
            }
            found => Ok(found.map(|kept| kept.created.clone())),
        }
    }

    /// Remembers a message that was taken just now.
    pub(super) fn remember(
        &self,
        door: Door,
        (headers, reference): (&HeaderMap, Option<&str>),
        request: &Bytes,
        created: &Created,
    ) {
        let key = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
        if let (true, Some(key)) = (door.keeps_keys(), key) {
            let kept = Kept { request: request.clone(), created: created.clone() };
            let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(key.to_owned()).or_insert(kept);
        }
        if let (Door::Queried | Door::Tokened | Door::Other(_), Some(reference)) = (door, reference)
        {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.entry((door, reference.to_owned())).or_default().push(created.sid.clone());
        }
    }

    fn taken(&self, door: Door, reference: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&(door, reference.to_owned())).cloned().unwrap_or_default()
    }
}

/// The key of a request, where its door wants one.
pub(super) fn key(door: Door, headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    if !door.keeps_keys() {
        return Ok(None);
    }
    let key = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
    match key.filter(|key| !key.is_empty()) {
        Some(key) if matches!(door, Door::Other(api) if !api.takes_key(key)) => Err(Refusal::new(
            400,
            10_015,
            "The idempotency key has characters that are not allowed",
        )),
        Some(key) => Ok(Some(key)),
        // Whoever gives none is not protected.
        None if door != Door::Keyed => Ok(None),
        None => Err(Refusal::new(400, 20400, "An idempotency key is required")),
    }
}

impl Carrier {
    /// Which messages it took under a reference. The question is written down, too.
    pub(super) fn look_up(
        &self,
        (door, account): (Door, &str),
        request: &Incoming<'_>,
        parameter: &str,
    ) -> io::Result<Response<AnswerBody>> {
        let admitted = match door {
            Door::Other(api) => api.admit(&self.account, account, request),
            Door::Tokened => self.admit_token(account, request.headers),
            _ => messages::admit(&self.account, &asked(account, request.headers, &[])),
        };
        if let Err(refusal) = admitted {
            return Ok(answer::refusal(door, &refusal));
        }
        let query = request.uri.query().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let Some((_, reference)) = pairs.find(|(name, _)| name == parameter) else {
            return Ok(answer::refusal(door, &Refusal::new(400, 20400, "A reference is required")));
        };
        let sids = self.memory.taken(door, &reference);
        let body = if let Door::Other(api) = door {
            api.found(&reference, &sids)
        } else {
            let sid = |sid: &String| serde_json::json!({ "sid": sid });
            serde_json::json!({ "messages": sids.iter().map(sid).collect::<Vec<_>>() })
        };
        self.log.append(&LogEntry {
            at: now(),
            reference: Some(reference.into_owned()),
            account: account.to_owned(),
            to: String::new(),
            from: String::new(),
            segments: 0,
            decision: "look-up".to_owned(),
            code: None,
            sid: sids.first().cloned(),
            accepted: false,
        })?;
        self.counters.count("look-up", None);
        let body = AnswerBody::Whole(Full::new(Bytes::from(body.to_string())));
        Ok(answer::json(200, body))
    }
}

/// The parameter by which a request asks about a message at this door, when it does not hand one in.
pub(super) fn asks(door: Door, request: &Incoming<'_>) -> Option<&'static str> {
    match door {
        Door::Queried | Door::Tokened if request.method == Method::GET => Some("reference"),
        Door::Other(api) => api.asks(request),
        _ => None,
    }
}
