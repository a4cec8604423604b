//! Bodies that no carrier should send, and any may.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use dripline_plugin_host::Response;
use dripline_plugin_host::egress::EgressOptions;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// In how many places a body is changed, one after the other.
const PLACES: usize = 16;

/// A name and a body, whoever sends it.
pub(crate) fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let short: [(&str, &[u8]); 11] = [
        ("with nothing", b""),
        ("with an empty object", b"{}"),
        ("with an empty list", b"[]"),
        ("with null", b"null"),
        ("with a number that overflows", b"-1e999"),
        ("with a text", b"\"taken\""),
        ("with a web page", b"<html>"),
        ("with octets that are no text", b"\xff\xfe\x00"),
        ("with half a surrogate pair", br#"{"id":"\ud800"}"#),
        ("with a mark of the byte order", b"\xef\xbb\xbf{}"),
        ("with something packed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b"),
    ];
    // The door lets no larger body in.
    let most = EgressOptions::default().response_body_bytes;
    let nested = br#"{"id":"#.repeat(most / 6);
    let short = short.map(|(name, body)| (name, body.to_vec())).into_iter();
    short.chain([("as deep as can be", nested), ("as large as can be", vec![b'['; most])]).collect()
}

/// The body with one octet changed, in several places. They follow from the seed, so that what fails once fails again.
pub(crate) fn changed(body: &[u8], seed: &str) -> Vec<Vec<u8>> {
    let change = |place: usize| {
        let mut hasher = DefaultHasher::new();
        (seed, place).hash(&mut hasher);
        let [a, b, c, d, bits, ..] = hasher.finish().to_le_bytes();
        let mut changed = body.to_vec();
        let at = u32::from_le_bytes([a, b, c, d]) as usize % body.len();
        // One bit at least, so that it is another octet.
        changed[at] ^= bits | 1;
        changed
    };
    (0..PLACES.min(body.len())).map(change).collect()
}

/// Whether it was JSON and is none any more, so that nothing in it can be relied on. Octets that are no text matter only
/// where somebody reads them.
pub(crate) fn broke(whole: &[u8], changed: &[u8]) -> bool {
    let is_json = |body| serde_json::from_slice::<IgnoredAny>(body).is_ok();
    is_json(whole) && !is_json(changed)
}

/// Answers that quote this sentence wherever a carrier might, as wholes and in the place of the words of `answers`.
pub(crate) fn quoting(sentence: &str, answers: &[Response]) -> Vec<Response> {
    let error = json!({ "message": sentence, "description": sentence, "detail": sentence });
    let named = json!({
        "message": sentence, "title": sentence, "detail": sentence, "description": sentence,
        "error_description": sentence, "error": error.clone(), "errors": [error],
    });
    let bodies = [sentence.as_bytes().to_vec(), named.to_string().into_bytes()];
    let realm = format!("Basic realm=\"{sentence}\"");
    let headers = [("www-authenticate", &*realm), ("x-error", sentence), ("location", sentence)]
        .map(|(name, value)| dripline_plugin_host::Header::new(name, value));
    let wholes = [200, 302, 400, 401, 403, 429, 500].into_iter().flat_map(|status| {
        let answer = |body| Response { status, headers: headers.to_vec(), body };
        bodies.clone().map(answer)
    });
    let in_place = answers.iter().filter_map(|answer| {
        let mut body: Value = serde_json::from_slice(&answer.body).ok()?;
        let count = put_words(&mut body, sentence);
        let body = body.to_string().into_bytes();
        (count > 0).then(|| Response { body, ..answer.clone() })
    });
    wholes.chain(in_place).collect()
}

/// Puts a sentence in the place of every text with a space in it: that is for people, and neither a code nor an id. How
/// many there were.
fn put_words(value: &mut Value, sentence: &str) -> usize {
    match value {
        Value::String(text) if text.contains(' ') => {
            sentence.clone_into(text);
            1
        }
        Value::Array(all) => all.iter_mut().map(|one| put_words(one, sentence)).sum(),
        Value::Object(all) => all.values_mut().map(|one| put_words(one, sentence)).sum(),
        _ => 0,
    }
}
