//! Cases of carriers that report.

use super::carrier::{Case, File, GivenHook};
use super::{Failed, same};
use crate::{Carrier, Heard, Hook, Rejection, Settings, Webhook};

pub(super) fn run<W: Carrier + Webhook>(file: &File) -> (usize, Vec<Failed>) {
    let manifest = W::describe();
    let cases = file.case.iter().filter(|case| case.hook.is_some());
    let failed = cases.clone().filter_map(|case| {
        let checked = case.within(file, |settings| {
            check::<W>(case, settings, !manifest.believes_unsigned(settings))
        });
        Some((case.name.clone(), checked.err()?))
    });
    (cases.clone().count(), failed.collect())
}

fn check<W: Webhook>(case: &Case, settings: &Settings, signed: bool) -> Result<(), String> {
    let Some(given) = &case.hook else { return Ok(()) };
    let hook = given.hook();
    let found = W::parse(settings, &hook);
    same("the second reading", &W::parse(settings, &hook), &found)?;
    match (&found, &case.rejected) {
        (Ok(heard), None) => case.check_heard(heard)?,
        (Err(rejection), Some(code)) => same("the rejection", &rejection.code, code)?,
        (found, _) => return Err(format!("the reading is {found:?}")),
    }
    let mut broken: Vec<Vec<u8>> =
        (0..hook.body.len()).map(|end| hook.body[..end].to_vec()).collect();
    broken.extend([b"\xff\xfe\x00".to_vec(), b"{}".to_vec(), b"[".repeat(100_000)]);
    for body in broken {
        let begin = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let read = W::parse(settings, &Hook { body, ..hook.clone() });
        if signed && given.signed && case.rejected.is_none() && believes(&read) {
            return Err(format!("the signature does not cover the body: it believes `{begin}`"));
        }
    }
    Ok(())
}

fn believes(read: &Result<Heard, Rejection>) -> bool {
    read.as_ref().is_ok_and(|heard| *heard != Heard::nothing())
}

impl GivenHook {
    fn hook(&self) -> Hook {
        Hook {
            method: self.method.clone(),
            url: self.url.clone(),
            headers: self.headers.clone().into_iter().collect(),
            body: self.body.clone().into_bytes(),
        }
    }
}

impl Case {
    fn check_heard(&self, heard: &Heard) -> Result<(), String> {
        let receipts: Vec<_> = heard
            .receipts
            .iter()
            .map(|r| (&r.reference, &r.carrier_reference, r.progress, &r.code))
            .collect();
        let expected: Vec<_> = self
            .receipts
            .iter()
            .map(|r| (&r.reference, &r.carrier_reference, r.progress, &r.code))
            .collect();
        same("the list of receipts", &receipts, &expected)?;
        let inbound: Vec<_> = heard
            .inbound
            .iter()
            .map(|i| (&*i.carrier_reference, i.sender.expose(), &*i.recipient, i.text.expose()))
            .collect();
        let expected: Vec<_> = self
            .inbound
            .iter()
            .map(|i| (&*i.carrier_reference, &*i.sender, &*i.recipient, &*i.text))
            .collect();
        same("the list of messages", &inbound, &expected)
    }
}
