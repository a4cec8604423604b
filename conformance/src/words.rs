//! Everything that a plugin says and that somebody may read.

use dripline_plugin_host::{
    Accepted, Attribute, Failure, Heard, Inbound, Receipt, Request, TokenPlace,
};

use crate::webhook::Rejected;

/// What a plugin said, as its words.
pub(crate) trait Words {
    fn words(&self) -> Vec<&str>;
}

/// A request is looked at as the door would show it.
impl Words for Request {
    fn words(&self) -> Vec<&str> {
        Vec::new()
    }
}

impl Words for Failure {
    fn words(&self) -> Vec<&str> {
        [&*self.code, &*self.text].into_iter().chain(attributes(&self.attributes)).collect()
    }
}

impl Words for Accepted {
    fn words(&self) -> Vec<&str> {
        let references = self.carrier_references.iter().map(String::as_str);
        references.chain(attributes(&self.attributes)).collect()
    }
}

impl Words for TokenPlace {
    fn words(&self) -> Vec<&str> {
        [Some(&*self.value), self.expires_in.as_deref()].into_iter().flatten().collect()
    }
}

impl Words for Heard {
    fn words(&self) -> Vec<&str> {
        self.receipts
            .iter()
            .flat_map(receipt)
            .chain(self.inbound.iter().flat_map(inbound))
            .collect()
    }
}

impl Words for Rejected {
    fn words(&self) -> Vec<&str> {
        vec![&self.code, &self.text]
    }
}

impl<T: Words> Words for Option<T> {
    fn words(&self) -> Vec<&str> {
        self.as_ref().map(Words::words).unwrap_or_default()
    }
}

impl<T: Words, E: Words> Words for Result<T, E> {
    fn words(&self) -> Vec<&str> {
        self.as_ref().map_or_else(Words::words, Words::words)
    }
}

fn attributes(all: &[Attribute]) -> impl Iterator<Item = &str> {
    all.iter().flat_map(|one| [&*one.name, &*one.value])
}

fn receipt(receipt: &Receipt) -> Vec<&str> {
    let Receipt { reference, carrier_reference, status: _, code, text, attributes: more } = receipt;
    let given = [reference, carrier_reference, code, text].into_iter().flatten();
    given.map(String::as_str).chain(attributes(more)).collect()
}

fn inbound(inbound: &Inbound) -> Vec<&str> {
    let Inbound { carrier_reference, sender, recipient, text, attributes: more } = inbound;
    let given = [carrier_reference, sender, recipient, text].map(String::as_str);
    given.into_iter().chain(attributes(more)).collect()
}
