//! What the engine sees of a contact: its fields, and for those it lacks a stand-in that remembers
//! having been printed.
//!
//! The engine knows undefined values itself, but not their names; and its filters take an undefined
//! value for an empty text. The stand-in is printed whenever anything makes a text of it, so that no
//! way around the strict mode is left.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use dripline_plugin_sdk::Fields;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

thread_local! {
    /// Of the contact that is being rendered: a component has one thread, and a test's threads do not
    /// share.
    static MISSED: RefCell<Missed> = RefCell::default();
}

#[derive(Default)]
struct Missed {
    /// The first missing field that was printed.
    printed: Option<String>,
    /// The last missing field that was read.
    read: Option<String>,
    /// What the contact's choices are drawn from, in templates that have any.
    seed: u64,
}

/// FNV-1a with a finish that moves every bit: even enough to choose among a few texts.
fn mixed(seed: u64, texts: &[&str]) -> u64 {
    let octets = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    let hash = octets.fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

/// Who the contact is, as the host says it (the contract's `render`).
const ID_FIELD: &str = "contact.id";

/// What a contact's choices are drawn from: who it is, so that they stay when a field changes. Without that, all of
/// its fields.
fn seed(fields: &Fields) -> u64 {
    if let Some(id) = fields.get(ID_FIELD) {
        return mixed(0, &[id]);
    }
    let mut names: Vec<&str> = fields.names().collect();
    names.sort_unstable();
    names
        .into_iter()
        .fold(0, |seed, name| mixed(seed, &[name, fields.get(name).unwrap_or_default()]))
}

/// A number that depends on the contact and these texts alone.
pub(crate) fn choice(texts: [&str; 2]) -> u64 {
    MISSED.with_borrow(|missed| mixed(missed.seed, &texts))
}

/// One contact's fields.
#[derive(Debug)]
pub(crate) struct Contact(Fields);

impl Contact {
    /// Begins with a contact, and forgets what the one before missed. Only a template that `chooses` needs
    /// what its choices are drawn from.
    pub(crate) fn begin(fields: Fields, chooses: bool) -> Self {
        MISSED.take();
        if chooses {
            let seed = seed(&fields);
            MISSED.with_borrow_mut(|missed| missed.seed = seed);
        }
        Self(fields)
    }

    pub(crate) fn into_value(self) -> Value {
        Value::from_object(self)
    }
}

/// The first missing field that was printed since the contact was begun.
pub(crate) fn missing_field_printed() -> Option<String> {
    MISSED.with_borrow(|missed| missed.printed.clone())
}

/// The last missing field that was read since the contact was begun.
pub(crate) fn missing_field_read() -> Option<String> {
    MISSED.with_borrow(|missed| missed.read.clone())
}

/// Whether a value stands for nothing.
pub(crate) fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.downcast_object_ref::<Missing>().is_some()
}

impl Object for Contact {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let value = self.0.get(name).map(Value::from);
        Some(value.unwrap_or_else(|| {
            MISSED.with_borrow_mut(|missed| missed.read = Some(name.to_owned()));
            Value::from_object(Missing(name.to_owned()))
        }))
    }
}

/// Stands for a missing field: false, empty, without attributes, and noticed when printed.
#[derive(Debug)]
struct Missing(String);

impl Object for Missing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from_dyn_object(Arc::clone(self)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        MISSED.with_borrow_mut(|missed| {
            missed.printed.get_or_insert_with(|| self.0.clone());
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_even_and_follow_the_fields_alone() {
        let choose = |fields: Fields| {
            let contact = Contact::begin(fields, true);
            drop(contact);
            choice(["Hi|Hello|Hey", ""])
        };
        let mut counts = [0_u32; 3];
        for number in 0..3_000 {
            let fields: Fields = [("id", number.to_string())].into_iter().collect();
            let chosen = usize::try_from(choose(fields) % 3).expect("below three");
            counts[chosen] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
        let fields = |pairs: [(&str, &str); 2]| pairs.into_iter().collect::<Fields>();
        assert_eq!(
            choose(fields([("a", "1"), ("b", "2")])),
            choose(fields([("b", "2"), ("a", "1")]))
        );
        assert_ne!(
            choose(fields([("a", "12"), ("b", "")])),
            choose(fields([("a", "1"), ("b", "2")]))
        );
        // Who it is counts for more than what it is called.
        assert_eq!(
            choose(fields([(ID_FIELD, "7"), ("name", "Ada")])),
            choose(fields([(ID_FIELD, "7"), ("name", "Bob")]))
        );
        assert_ne!(
            choose(fields([(ID_FIELD, "7"), ("name", "Ada")])),
            choose(fields([(ID_FIELD, "8"), ("name", "Ada")]))
        );
    }
}
