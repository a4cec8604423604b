//! From whom a contact hears: one sender of a route's pool, always the same one.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::ids::ContactId;

/// The sender among `senders` from whom messages to the contact come; `None` without any.
///
/// It follows from the contact and the pool alone (by rendezvous hashing, Thaler and Ravishankar 1998):
/// whoever asks, and whenever, gets the same one. A sender that joins a pool of `n` takes over one
/// contact in `n + 1`, and the contacts of one that leaves are shared by the others; nobody else's
/// sender changes. The order of the pool says nothing.
pub fn of_contact(senders: &[String], contact_id: ContactId) -> Option<&str> {
    match senders {
        [only] => Some(only),
        pool => pool
            .iter()
            .max_by_key(|sender| (weight(sender, contact_id), sender.as_str()))
            .map(String::as_str),
    }
}

/// `SipHash` is specified for all time, unlike the standard library's hasher: contacts keep their senders
/// when Dripline is compiled anew.
fn weight(sender: &str, contact_id: ContactId) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(&contact_id.0.to_le_bytes());
    hasher.write(sender.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pool(size: usize) -> Vec<String> {
        (0..size).map(|n| format!("+4930000{n:04}")).collect()
    }

    #[test]
    fn a_contact_keeps_its_sender_whatever_the_pools_order() {
        let forward = pool(7);
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        for id in 1..1_000 {
            let contact_id = ContactId(id);
            assert_eq!(of_contact(&forward, contact_id), of_contact(&backward, contact_id));
        }
        assert_eq!(of_contact(&[], ContactId(1)), None);
        assert_eq!(of_contact(&pool(1), ContactId(1)), Some("+49300000000"));
    }

    #[test]
    fn senders_share_the_contacts_and_a_new_one_takes_its_share_only() {
        let (before, after) = (pool(4), pool(5));
        let mut shares: BTreeMap<&str, u32> = BTreeMap::new();
        for id in 1..=10_000 {
            let now = of_contact(&after, ContactId(id)).unwrap();
            *shares.entry(now).or_default() += 1;
            let then = of_contact(&before, ContactId(id)).unwrap();
            assert!(now == then || now == after[4], "{id} moved from {then} to {now}");
        }
        assert_eq!(shares.len(), 5);
        assert!(shares.values().all(|share| (1_800..2_200).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_choice_is_the_same_in_every_release() {
        let chosen: Vec<_> =
            (1..=6).map(|id| of_contact(&pool(3), ContactId(id)).unwrap().to_owned()).collect();
        insta::assert_compact_debug_snapshot!(chosen);
    }
}
