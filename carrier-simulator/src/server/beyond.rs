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
use super::{Carrier, Created, REFERENCE_HEADER, now};
use crate::log::LogEntry;
use crate::messages::{self, Asked, Refusal};

/// The header in which a client gives its key.
pub const KEY_HEADER: &str = "idempotency-key";

/// Where messages are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Twilio's own.
    Twilio,
    /// `/keyed/{AccountSid}/messages`.
    Keyed,
    /// `/queried/{AccountSid}/messages`.
    Queried,
}

impl Door {
    /// The door in a path, and the account.
    pub(super) fn in_path(path: &str) -> Option<(Self, &str)> {
        if let Some(account) = messages::account_in_path(path) {
            return Some((Self::Twilio, account));
        }
        let (door, rest) = match path.strip_prefix("/keyed/") {
            Some(rest) => (Self::Keyed, rest),
            None => (Self::Queried, path.strip_prefix("/queried/")?),
        };
        let account = rest.strip_suffix("/messages")?;
        (!account.contains('/')).then_some((door, account))
    }
}

/// What the carrier remembers of messages it took.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By key.
    kept: Mutex<HashMap<String, Kept>>,
    /// Messages' ids, by the client's reference.
    taken: Mutex<HashMap<String, Vec<String>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    request: Bytes,
    created: Created,
}

impl Memory {
    /// What was answered under this key, or the refusal of a key that stands for another request.
    pub(super) fn recall(&self, key: &str, request: &Bytes) -> Result<Option<Created>, Refusal> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.get(key) {
            Some(kept) if kept.request != request => {
                let message = "The idempotency key was used for another request";
                Err(Refusal::new(409, 20409, message))
            }
            found => Ok(found.map(|kept| kept.created.clone())),
        }
    }

    /// Remembers a message that was taken just now.
    pub(super) fn remember(
        &self,
        door: Door,
        headers: &HeaderMap,
        request: &Bytes,
        created: &Created,
    ) {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        match (door, header(KEY_HEADER), header(REFERENCE_HEADER)) {
            (Door::Keyed, Some(key), _) => {
                let kept = Kept { request: request.clone(), created: created.clone() };
                let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(key.to_owned()).or_insert(kept);
            }
            (Door::Queried, _, Some(reference)) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                taken.entry(reference.to_owned()).or_default().push(created.sid.clone());
            }
            _ => {}
        }
    }

    fn taken(&self, reference: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(reference).cloned().unwrap_or_default()
    }
}

/// The key of a request, where its door wants one.
pub(super) fn key(door: Door, headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    if door != Door::Keyed {
        return Ok(None);
    }
    let key = headers.get(KEY_HEADER).and_then(|value| value.to_str().ok());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Ok(Some(key)),
        None => Err(Refusal::new(400, 20400, "An idempotency key is required")),
    }
}

impl Carrier {
    /// Which messages it took under a reference. The question is written down, too.
    pub(super) fn look_up(
        &self,
        asked: &Asked<'_>,
        query: &str,
    ) -> io::Result<Response<AnswerBody>> {
        if let Err(refusal) = messages::admit(&self.account, asked) {
            return Ok(answer::refusal(&refusal));
        }
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let Some((_, reference)) = pairs.find(|(name, _)| name == "reference") else {
            return Ok(answer::refusal(&Refusal::new(400, 20400, "A reference is required")));
        };
        let sids = self.memory.taken(&reference);
        self.log.append(&LogEntry {
            at: now(),
            reference: Some(reference.into_owned()),
            account: asked.account.to_owned(),
            to: String::new(),
            from: String::new(),
            segments: 0,
            decision: "look-up".to_owned(),
            code: None,
            sid: sids.first().cloned(),
            accepted: false,
        })?;
        self.counters.count("look-up", None);
        let messages: Vec<_> = sids.iter().map(|sid| serde_json::json!({ "sid": sid })).collect();
        let body = serde_json::json!({ "messages": messages }).to_string();
        Ok(answer::json(200, AnswerBody::Whole(Full::new(Bytes::from(body)))))
    }
}

/// Whether a method hands a message in, or asks, at this door.
pub(super) fn asks(door: Door, method: &Method) -> bool {
    door == Door::Queried && method == Method::GET
}
