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
}

/// One contact's fields.
#[derive(Debug)]
pub(crate) struct Contact(Fields);

impl Contact {
    /// Begins with a contact, and forgets what the one before missed.
    pub(crate) fn begin(fields: Fields) -> Self {
        MISSED.take();
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
