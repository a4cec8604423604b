//! One line of a journal: a checksum and a JSON object, so that it can be read by people too, and
//! what follows a spoiled line is found again.

use std::time::Duration;

use dripline_domain::delivery::{AttemptOutcome, Reason};
use dripline_domain::ids::DeliveryId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The form of the lines. A journal of another one is left to the version that wrote it.
const FORMAT: u32 = 1;

/// What a line says. No phone numbers, texts or secrets: a [`Reason`] holds none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line: whose journal it is.
    Journal { format: u32, installation_id: Uuid, worker: String },
    /// The attempt may leave from now on.
    Start { delivery_id: DeliveryId, attempt: u32 },
    /// How the attempt ended.
    End(Ended),
    /// The database has it.
    Settled { delivery_id: DeliveryId, attempt: u32 },
}

/// An attempt with its outcome, as its worker saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Which hand-over.
    pub attempt: u32,
    /// What happened.
    #[serde(flatten, with = "OutcomeText")]
    pub outcome: AttemptOutcome,
}

/// An outcome's form in a line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum OutcomeText {
    Accepted { carrier_reference: Option<String> },
    Refused(Reason),
    NotSent { reason: Reason, retry_after_ms: Option<u64> },
    Unknown(Reason),
}

impl OutcomeText {
    fn serialize<S: serde::Serializer>(
        outcome: &AttemptOutcome,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = match outcome.clone() {
            AttemptOutcome::Accepted { carrier_reference } => Self::Accepted { carrier_reference },
            AttemptOutcome::Refused(reason) => Self::Refused(reason),
            AttemptOutcome::NotSent { reason, retry_after } => Self::NotSent {
                reason,
                retry_after_ms: retry_after
                    .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            },
            AttemptOutcome::Unknown(reason) => Self::Unknown(reason),
        };
        Serialize::serialize(&text, serializer)
    }

    fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<AttemptOutcome, D::Error> {
        Ok(match <Self as Deserialize>::deserialize(deserializer)? {
            Self::Accepted { carrier_reference } => AttemptOutcome::Accepted { carrier_reference },
            Self::Refused(reason) => AttemptOutcome::Refused(reason),
            Self::NotSent { reason, retry_after_ms } => AttemptOutcome::NotSent {
                reason,
                retry_after: retry_after_ms.map(Duration::from_millis),
            },
            Self::Unknown(reason) => AttemptOutcome::Unknown(reason),
        })
    }
}

impl Record {
    /// The first line of a worker's journal.
    pub(super) fn header(installation_id: Uuid, worker: &str) -> Self {
        Self::Journal { format: FORMAT, installation_id, worker: worker.to_owned() }
    }

    /// Whether this version can read the journal that begins with this line.
    pub(super) fn is_known_header(&self) -> bool {
        matches!(self, Self::Journal { format: FORMAT, .. })
    }

    /// Appends the line, with its end.
    pub(super) fn write_to(&self, lines: &mut Vec<u8>) {
        let json = serde_json::to_string(self).expect("a record has only texts, numbers and keys");
        lines.extend_from_slice(format!("{:08x} {json}\n", checksum(&json)).as_bytes());
    }

    /// The record of a line without its end. `None` when it is not what was written.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        if sum.len() != 8 || u32::from_str_radix(sum, 16).ok()? != checksum(json) {
            return None;
        }
        serde_json::from_str(json).ok()
    }
}

fn checksum(json: &str) -> u32 {
    crc32fast::hash(json.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &Record) -> Vec<u8> {
        let mut line = Vec::new();
        record.write_to(&mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'));
        line
    }

    fn end(outcome: AttemptOutcome) -> Record {
        Record::End(Ended { delivery_id: DeliveryId(7), attempt: 2, outcome })
    }

    #[test]
    fn every_record_is_read_back() {
        let reason = || Reason::new("twilio:21610", "said \"no\",\nfor good ☃");
        let wait = Some(Duration::from_millis(1_500));
        for record in [
            Record::header(Uuid::nil(), "host-1-abc"),
            Record::Start { delivery_id: DeliveryId(i64::MAX), attempt: u32::MAX },
            Record::Settled { delivery_id: DeliveryId(1), attempt: 1 },
            end(AttemptOutcome::Accepted { carrier_reference: Some("SM1".to_owned()) }),
            end(AttemptOutcome::Accepted { carrier_reference: None }),
            end(AttemptOutcome::Refused(reason())),
            end(AttemptOutcome::NotSent { reason: reason(), retry_after: wait }),
            end(AttemptOutcome::NotSent { reason: reason(), retry_after: None }),
            end(AttemptOutcome::Unknown(reason())),
        ] {
            assert_eq!(Record::read(&written(&record)), Some(record));
        }
    }

    #[test]
    fn no_part_of_a_line_and_no_changed_line_is_a_record() {
        let line = written(&end(AttemptOutcome::Accepted { carrier_reference: None }));
        for length in 0..line.len() {
            assert_eq!(Record::read(&line[..length]), None);
        }
        for place in 0..line.len() {
            let mut changed = line.clone();
            changed[place] ^= 1;
            assert_eq!(Record::read(&changed), None, "{}", String::from_utf8_lossy(&changed));
        }
    }

    #[test]
    fn the_form_of_a_line_stays() {
        let outcome = AttemptOutcome::Accepted { carrier_reference: Some("SM1".to_owned()) };
        assert_eq!(
            String::from_utf8(written(&end(outcome))).unwrap(),
            r#"80080072 {"record":"end","delivery_id":7,"attempt":2,"outcome":"accepted","carrier_reference":"SM1"}"#
        );
    }
}
