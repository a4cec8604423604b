//! The cases of a carrier that reports, and what each of them must stand: a body that was changed on its way
//! is not believed, and none makes the plugin trap.

use dripline_plugin_host::{Header, Heard, Hook, HookError};

use crate::carrier::Subject;
use crate::cases::{CarrierCase, ExpectedInbound, ExpectedReceipt, GivenHook, Map};
use crate::same;

type Read = Result<Heard, HookError>;

impl Subject<'_> {
    pub(crate) async fn tell(
        &self,
        case: &CarrierCase,
        given: &GivenHook,
        settings: &Map,
        secrets: &Map,
    ) -> Result<(), String> {
        let hook = hook_of(given);
        let secrets = self.secrets(secrets)?;
        let tell = async |hooks: Vec<Hook>| {
            self.host.read_hooks(self.name, settings, &secrets, hooks).await
        };
        let twice = tell(vec![hook.clone(), hook.clone()]).await;
        same("the second reading", &twice[1], &twice[0])?;
        match (&twice[0], &case.rejected) {
            (Ok(heard), None) => compare(heard, case)?,
            (Err(HookError::Rejected { code, .. }), Some(expected)) => {
                same("the rejection", code, expected)?;
            }
            (Err(error), _) => return Err(error.to_string()),
            (Ok(heard), Some(_)) => return Err(format!("it believes {heard:?}")),
        }
        let is_signed = !self.manifest.has_unsigned_webhooks() && case.rejected.is_none();
        let broken = broken(&hook);
        for (body, read) in broken.iter().zip(tell(with_bodies(&hook, &broken)).await) {
            stands(&read, is_signed).map_err(|problem| {
                let begin = String::from_utf8_lossy(&body[..body.len().min(60)]);
                format!("{problem}, from the body `{begin}`")
            })?;
        }
        Ok(())
    }
}

fn hook_of(given: &GivenHook) -> Hook {
    let headers = given.headers.iter().map(|(name, value)| Header::new(name, value));
    Hook {
        method: given.method.clone(),
        url: given.url.clone(),
        headers: headers.collect(),
        body: given.body.clone().into_bytes(),
    }
}

/// The body cut off at every octet, with one octet changed, and something else in its place.
fn broken(hook: &Hook) -> Vec<Vec<u8>> {
    let mut bodies: Vec<_> = (0..hook.body.len()).map(|end| hook.body[..end].to_vec()).collect();
    if let Some(last) = hook.body.len().checked_sub(2) {
        let mut changed = hook.body.clone();
        changed[last] ^= 1;
        bodies.push(changed);
    }
    bodies.extend([b"\xff\xfe\x00".to_vec(), b"null".to_vec(), b"[".repeat(100_000)]);
    bodies
}

fn with_bodies(hook: &Hook, bodies: &[Vec<u8>]) -> Vec<Hook> {
    bodies.iter().map(|body| Hook { body: body.clone(), ..hook.clone() }).collect()
}

fn stands(read: &Read, is_signed: bool) -> Result<(), String> {
    match read {
        Ok(heard) if is_signed && *heard != Heard::default() => {
            Err(format!("the signature does not cover the body: it believes {heard:?}"))
        }
        Ok(_) | Err(HookError::Rejected { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn compare(heard: &Heard, case: &CarrierCase) -> Result<(), String> {
    let receipts = heard.receipts.iter().map(|receipt| ExpectedReceipt {
        reference: receipt.reference.clone(),
        carrier_reference: receipt.carrier_reference.clone(),
        progress: receipt.status.to_string(),
        code: receipt.code.clone(),
    });
    same("the list of receipts", &receipts.collect(), &case.receipts)?;
    let inbound = heard.inbound.iter().map(|inbound| ExpectedInbound {
        carrier_reference: inbound.carrier_reference.clone(),
        sender: inbound.sender.clone(),
        recipient: inbound.recipient.clone(),
        text: inbound.text.clone(),
    });
    same("the list of messages", &inbound.collect(), &case.inbound)
}
