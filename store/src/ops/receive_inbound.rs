//! Keeps what contacts write to us. Who asks to hear nothing more leaves every workflow.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, ContactId, RouteId};
use dripline_domain::opt_out::asks_to_stop;
use sqlx::PgConnection;

use super::opt_out;
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError};

/// A message from a contact, or from somebody who is none.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundMessage {
    /// The account of the route over which it came: only its contacts are looked at.
    pub account_id: AccountId,
    /// That route.
    pub route_id: RouteId,
    /// The carrier's own id of it, by which a second copy is known.
    pub carrier_reference: String,
    /// Whose, E.164 as far as the carrier says.
    pub sender: String,
    /// To which of our numbers or names.
    pub recipient: String,
    /// What it says.
    pub text: String,
}

/// Shows neither the sender nor the text.
impl std::fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundMessage")
            .field("route_id", &self.route_id)
            .field("carrier_reference", &self.carrier_reference)
            .finish_non_exhaustive()
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbounded {
    /// It is kept.
    Kept,
    /// It is kept, and by it a contact has opted out.
    OptedOut(ContactId),
    /// It had been kept before.
    Known,
}

/// Keeps a batch of messages, and ends all enrollments of the contacts who ask to hear nothing more
/// ([`asks_to_stop`]), refunding what was not sent. Gives the answers in the order of the messages.
///
/// The messages and the notes on those contacts are written in one transaction, and their enrollments ended in others
/// after it. Running the batch again keeps nothing twice, and ends what had not been ended: a carrier that has got no
/// answer, and brings its message again, repairs what was cut off. Where it does not, the mark of the contact's next
/// message finds the note.
pub async fn receive_inbound(
    pool: &Pool,
    clock: &dyn Clock,
    actor: &str,
    messages: &[InboundMessage],
) -> Result<Vec<Inbounded>, StoreError> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let mut retries = Retries::default();
    let (received, stopped) = loop {
        match run(pool, clock.now(), messages).await {
            Ok(done) => break done,
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    };
    for contact_id in stopped {
        opt_out::leave_all(pool, clock, contact_id, actor).await?;
    }
    Ok(received)
}

async fn run(
    pool: &Pool,
    now: DateTime<Utc>,
    messages: &[InboundMessage],
) -> Result<(Vec<Inbounded>, BTreeSet<ContactId>), StoreError> {
    let mut tx = pool.begin().await?;
    let contacts = contacts(&mut tx, messages).await?;
    let mut new = keep(&mut tx, messages, &contacts, now).await?;
    let (mut fresh, mut stopped) = (BTreeSet::new(), BTreeSet::new());
    let mut received = Vec::with_capacity(messages.len());
    for (message, contact) in messages.iter().zip(&contacts) {
        // Taken out: the second copy in a batch is as well known as one that comes later.
        let is_new = new.remove(&(message.route_id, message.carrier_reference.clone()));
        let stops = contact.filter(|_| asks_to_stop(&message.text));
        stopped.extend(stops);
        received.push(match stops {
            _ if !is_new => Inbounded::Known,
            None => Inbounded::Kept,
            Some(contact) => {
                fresh.insert(contact.0);
                Inbounded::OptedOut(contact)
            }
        });
    }
    opt_out::note(&mut tx, &fresh.into_iter().collect::<Vec<_>>()).await?;
    let stopped = still_opted_out(&mut tx, &stopped).await?;
    commit(tx, Commit::ReceiveInbound).await?;
    Ok((received, stopped))
}

/// Whose number each message comes from, among the contacts of its account.
async fn contacts(
    conn: &mut PgConnection,
    messages: &[InboundMessage],
) -> Result<Vec<Option<ContactId>>, StoreError> {
    let accounts: Vec<i64> = messages.iter().map(|message| message.account_id.0).collect();
    let senders: Vec<&str> = messages.iter().map(|message| message.sender.as_str()).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT c.contact_id AS "contact_id?"
           FROM unnest($1::BIGINT[], $2::TEXT[]) WITH ORDINALITY AS asked (account_id, phone, place)
           LEFT JOIN contacts c USING (account_id, phone)
           ORDER BY asked.place"#,
        &accounts,
        &senders as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|contact| contact.map(ContactId)).collect())
}

/// Writes the messages. Gives those that were not there before.
async fn keep(
    conn: &mut PgConnection,
    messages: &[InboundMessage],
    contacts: &[Option<ContactId>],
    now: DateTime<Utc>,
) -> Result<HashSet<(RouteId, String)>, StoreError> {
    let mut columns = Columns::default();
    for (message, contact) in messages.iter().zip(contacts) {
        columns.push(message, *contact);
    }
    let written = sqlx::query_file!(
        "queries/inbound/keep.sql",
        &columns.accounts,
        &columns.routes,
        &columns.references as &[&str],
        &columns.contacts as &[Option<i64>],
        &columns.senders as &[&str],
        &columns.recipients as &[&str],
        &columns.texts as &[&str],
        &columns.opted_out,
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(written.into_iter().map(|row| (row.route_id.into(), row.carrier_reference)).collect())
}

#[derive(Default)]
struct Columns<'a> {
    accounts: Vec<i64>,
    routes: Vec<i64>,
    references: Vec<&'a str>,
    contacts: Vec<Option<i64>>,
    senders: Vec<&'a str>,
    recipients: Vec<&'a str>,
    texts: Vec<&'a str>,
    opted_out: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, message: &'a InboundMessage, contact: Option<ContactId>) {
        self.accounts.push(message.account_id.0);
        self.routes.push(message.route_id.0);
        self.references.push(&message.carrier_reference);
        self.contacts.push(contact.map(|contact| contact.0));
        self.senders.push(&message.sender);
        self.recipients.push(&message.recipient);
        self.texts.push(&message.text);
        self.opted_out.push(asks_to_stop(&message.text));
    }
}

/// Those of the contacts who have opted out, by this message or before. A copy of an old message does not end
/// what somebody has begun since who was asked back in.
async fn still_opted_out(
    conn: &mut PgConnection,
    contacts: &BTreeSet<ContactId>,
) -> Result<BTreeSet<ContactId>, StoreError> {
    let ids: Vec<i64> = contacts.iter().map(|contact| contact.0).collect();
    let out = sqlx::query_scalar!(
        "SELECT contact_id FROM contacts WHERE contact_id = ANY ($1) AND opted_out_at IS NOT NULL",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(out.into_iter().map(ContactId).collect())
}
