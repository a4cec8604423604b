//! Hearing evidence: what each piece says about which attempt, whether it decides, and writing it down.
//!
//! The first piece decides: it moves the money, under the locks and by the compare-and-set of every
//! settlement. A later one meets a decision and moves nothing, unless it says that a message was sent
//! which still waits to be sent once more.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::evidence::{Effect, Evidence, Finding, Verdict};
use dripline_domain::ids::{DeliveryId, WorkflowId};
use dripline_domain::retry::RetryPolicy;
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::Books;
use super::finish_attempts::{Finished, finished};
use super::settle::{Changes, Owner, expect_all};
use super::situation::{self, Situation, Taken};
use crate::{StoreError, row};

/// What a piece of evidence did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// It was the first, or kept a message from being sent twice: this is what the delivery became.
    Decided(Finished),
    /// Somebody else had decided the same. Nothing moved.
    Agreed {
        /// Where the delivery stands.
        state: DeliveryState,
    },
    /// Somebody else had decided otherwise. Nothing moved, and it is kept for people to see.
    Contradicted {
        /// Where the delivery stands.
        state: DeliveryState,
    },
    /// A worker has the delivery on the wire and will say what became of it. Nothing was recorded.
    OnTheWire,
    /// This batch had recorded it before, or another piece of this batch spoke of the same delivery.
    AlreadyDone,
    /// There is no such delivery, or it was never handed over by that attempt.
    NotFound,
}

/// One piece of evidence.
#[derive(Clone, Debug)]
pub(super) struct Said<'a> {
    pub(super) delivery_id: DeliveryId,
    /// Of which attempt; `None`: of the delivery's last.
    pub(super) attempt: Option<u32>,
    pub(super) evidence: Evidence,
    pub(super) carrier_reference: Option<&'a str>,
    pub(super) reason: Option<String>,
}

/// One batch that hears evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hearing<'a> {
    pub(super) batch_id: Uuid,
    pub(super) actor: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// Which of the pieces that do not decide are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Those that agree, too.
    All,
    /// Those that contradict.
    Contradictions,
}

impl Hearing<'_> {
    /// Hears every piece and writes down what follows. The workflows are locked; the caller commits.
    pub(super) async fn hear(
        &self,
        conn: &mut PgConnection,
        policy: &RetryPolicy,
        workflows: &[WorkflowId],
        pieces: &[Said<'_>],
        keep: Keep,
    ) -> Result<Vec<Resolved>, StoreError> {
        let ids: Vec<i64> = pieces.iter().map(|said| said.delivery_id.0).collect();
        let situations = situation::read(conn, &ids).await?;
        let spoken_of = self.spoken_of(conn, pieces).await?;
        let mut heard = self.heard_before(conn).await?;
        let timings = situation::read_timings(conn, workflows).await?;
        let mut changes = Changes::default();
        let mut records = Records::default();
        let mut resolved = Vec::with_capacity(pieces.len());
        for (place, said) in pieces.iter().enumerate() {
            if heard.contains(&said.delivery_id) {
                resolved.push(Resolved::AlreadyDone);
                continue;
            }
            let (Some(situation), Some(attempt)) =
                (situations.get(&said.delivery_id), spoken_of.get(&place))
            else {
                resolved.push(Resolved::NotFound);
                continue;
            };
            let done = match attempt.stands(situation)? {
                Stands::OnTheWire => Resolved::OnTheWire,
                Stands::Open => {
                    let timings = &timings;
                    let mut decision =
                        Decision { hearing: self, policy, timings, changes: &mut changes };
                    let (to, state) = decision.decide(situation, said)?;
                    records.push(situation, attempt.attempt, said, Effect::Decided, state);
                    Resolved::Decided(to)
                }
                Stands::Decided(finding) => {
                    let state = situation.state;
                    match said.evidence.beside(finding, attempt.is_waiting(situation)) {
                        effect @ Effect::Overruled => {
                            self.overrule(situation, attempt, said, &timings, &mut changes)?;
                            let sent = DeliveryState::Sent;
                            records.push(situation, attempt.attempt, said, effect, sent);
                            Resolved::Decided(Finished::Sent)
                        }
                        effect @ Effect::Contradicted => {
                            changes.contradicted.push(said.delivery_id.0);
                            records.push(situation, attempt.attempt, said, effect, state);
                            Resolved::Contradicted { state }
                        }
                        effect @ (Effect::Agreed | Effect::Decided) => {
                            if keep == Keep::All {
                                records.push(situation, attempt.attempt, said, effect, state);
                            }
                            Resolved::Agreed { state }
                        }
                    }
                }
            };
            if done != Resolved::OnTheWire {
                heard.insert(said.delivery_id);
            }
            resolved.push(done);
        }
        records.write(conn, self).await?;
        changes.end_repeated(conn).await?;
        let mut books = Books::new(self.batch_id, self.actor, self.now);
        changes.write(conn, &mut books, self.actor, self.now).await?;
        Ok(resolved)
    }

    /// Keeps what contradicts a decision, of outcomes that came too late to decide anything. What says that a
    /// message was sent which waits to be sent once more is added to `changes`.
    pub(super) async fn note_late(
        &self,
        conn: &mut PgConnection,
        workflows: &[WorkflowId],
        pieces: &[Said<'_>],
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        if pieces.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = pieces.iter().map(|said| said.delivery_id.0).collect();
        let situations = situation::read(conn, &ids).await?;
        let spoken_of = self.spoken_of(conn, pieces).await?;
        let timings = situation::read_timings(conn, workflows).await?;
        let mut records = Records::default();
        let mut overruled = HashSet::new();
        for (place, said) in pieces.iter().enumerate() {
            let (Some(situation), Some(attempt)) =
                (situations.get(&said.delivery_id), spoken_of.get(&place))
            else {
                continue;
            };
            let Stands::Decided(finding) = attempt.stands(situation)? else { continue };
            let effect = said.evidence.beside(finding, attempt.is_waiting(situation));
            let state = match effect {
                Effect::Agreed | Effect::Decided => continue,
                Effect::Contradicted => {
                    changes.contradicted.push(said.delivery_id.0);
                    situation.state
                }
                Effect::Overruled if !overruled.insert(said.delivery_id) => continue,
                Effect::Overruled => {
                    self.overrule(situation, attempt, said, &timings, changes)?;
                    DeliveryState::Sent
                }
            };
            tracing::warn!(
                delivery.id = %said.delivery_id, attempt = attempt.attempt, %effect,
                "a late outcome contradicts what was decided about an attempt"
            );
            records.push(situation, attempt.attempt, said, effect, state);
        }
        records.write(conn, self).await
    }

    /// Settles a message that waited to be sent once more as sent by that attempt. Whoever has begun to send it
    /// meanwhile is found by the compare-and-set of the settlement.
    fn overrule(
        &self,
        situation: &Situation,
        attempt: &SpokenOf,
        said: &Said<'_>,
        timings: &situation::Timings,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        let taken = Taken {
            attempt: attempt.attempt,
            segments: attempt.segments,
            carrier_reference: said.carrier_reference.map(str::to_owned),
        };
        let to = situation.sent_after_all(&taken, changes, timings, self.now)?;
        changes.deliveries.push(situation.change(to, None));
        changes.withdrawn.extend(attempt.ticket_id.clone());
        Ok(())
    }

    /// The attempts that the pieces speak of, by the pieces' places.
    async fn spoken_of(
        &self,
        conn: &mut PgConnection,
        pieces: &[Said<'_>],
    ) -> Result<HashMap<usize, SpokenOf>, StoreError> {
        let ids: Vec<i64> = pieces.iter().map(|said| said.delivery_id.0).collect();
        let attempt = |said: &Said<'_>| {
            said.attempt.map(|attempt| i32::try_from(attempt).unwrap_or(i32::MAX))
        };
        let attempts: Vec<Option<i32>> = pieces.iter().map(attempt).collect();
        let rows =
            sqlx::query_file!("queries/evidence/attempts.sql", &ids, &attempts as &[Option<i32>])
                .fetch_all(conn)
                .await?;
        let spoken_of = rows.into_iter().map(|row| {
            let place = usize::try_from(row.place).unwrap_or(0).saturating_sub(1);
            let segments = u32::try_from(row.segments).unwrap_or(0);
            let (attempt, outcome, ticket_id) = (row.attempt, row.outcome, row.ticket_id);
            (place, SpokenOf { attempt, outcome, segments, ticket_id })
        });
        Ok(spoken_of.collect())
    }

    /// The deliveries of which this very batch has recorded something, when its COMMIT got no answer and
    /// it runs again.
    async fn heard_before(
        &self,
        conn: &mut PgConnection,
    ) -> Result<HashSet<DeliveryId>, StoreError> {
        let heard = sqlx::query_scalar!(
            "SELECT delivery_id FROM evidence WHERE batch_id = $1",
            self.batch_id,
        )
        .fetch_all(conn)
        .await?;
        Ok(heard.into_iter().map(DeliveryId).collect())
    }
}

/// The attempt that a piece speaks of.
struct SpokenOf {
    attempt: i32,
    outcome: Option<String>,
    /// Of its text; 0: it had none to hand over.
    segments: u32,
    /// Its delivery's, while that is queued.
    ticket_id: Option<String>,
}

/// Whether an attempt is still to be decided about.
enum Stands {
    /// Nobody knows.
    Open,
    /// It, or a repetition of it, is on the wire.
    OnTheWire,
    /// It was decided.
    Decided(Finding),
}

impl SpokenOf {
    /// Whether its message waits to be sent once more.
    fn is_waiting(&self, situation: &Situation) -> bool {
        situation.state == DeliveryState::Queued && self.segments > 0
    }

    /// Fails as a race when somebody has decided about the attempt since its delivery was read.
    fn stands(&self, situation: &Situation) -> Result<Stands, StoreError> {
        let decided = match self.outcome.as_deref() {
            Some("accepted" | "presumed_sent") => Some(Finding::Sent),
            Some("refused" | "not_sent") => Some(Finding::NotSent),
            // Unknown, repeated, or not ended: its delivery knows.
            _ => None,
        };
        let is_last = self.attempt == situation.attempt;
        Ok(match decided {
            Some(_) if is_last && situation.state.is_on_the_wire() => {
                return Err(StoreError::Raced);
            }
            Some(finding) => Stands::Decided(finding),
            None => match situation.state {
                DeliveryState::Unknown => Stands::Open,
                DeliveryState::Sending => Stands::OnTheWire,
                DeliveryState::Sent => Stands::Decided(Finding::Sent),
                DeliveryState::Queued
                | DeliveryState::Failed
                | DeliveryState::Cancelled
                | DeliveryState::Expired => Stands::Decided(Finding::NotSent),
            },
        })
    }
}

/// Decides about unknown deliveries.
struct Decision<'a> {
    hearing: &'a Hearing<'a>,
    policy: &'a RetryPolicy,
    timings: &'a situation::Timings,
    changes: &'a mut Changes,
}

impl Decision<'_> {
    /// Adds the delivery's change. Gives what it becomes.
    fn decide(
        &mut self,
        situation: &Situation,
        said: &Said<'_>,
    ) -> Result<(Finished, DeliveryState), StoreError> {
        let now = self.hearing.now;
        let verdict = said.evidence.verdict();
        let (to, outcome) = match verdict {
            Verdict::Sent | Verdict::PresumedSent => {
                let reference = said.carrier_reference.map(str::to_owned);
                let to = situation.sent(self.changes, self.timings, reference, now)?;
                let presumed = verdict == Verdict::PresumedSent;
                (to, if presumed { "presumed_sent" } else { "accepted" })
            }
            Verdict::NotSent => {
                if situation.repeats > 0 {
                    self.changes.repeated_not_sent.push(situation.delivery_id.0);
                }
                let to = if let Some(said) = &situation.said_sent {
                    situation.need_not_be_sent(said, self.changes, self.timings, now)?
                } else {
                    let attempt = situation.attempt - situation.repeats;
                    situation.try_again(self.changes, self.policy, attempt, None, now)
                };
                (to, "not_sent")
            }
        };
        let finished = finished(&to);
        let reason = (verdict != Verdict::Sent).then(|| {
            let text = said.reason.clone().unwrap_or_default();
            let code = match verdict {
                Verdict::PresumedSent => verdict.as_str(),
                Verdict::Sent | Verdict::NotSent => said.evidence.witness().as_str(),
            };
            Reason::new(code, text)
        });
        let state = match finished {
            Finished::Sent => DeliveryState::Sent,
            Finished::Requeued { .. } => DeliveryState::Queued,
            Finished::Failed => DeliveryState::Failed,
            Finished::Expired => DeliveryState::Expired,
            Finished::Cancelled => DeliveryState::Cancelled,
            Finished::Unknown | Finished::AlreadyDone => DeliveryState::Unknown,
        };
        let mut change = situation.change(to, reason);
        change.outcome = Some(outcome);
        self.changes.deliveries.push(change);
        Ok((finished, state))
    }
}

/// Pieces of evidence to be written, one array a column.
#[derive(Default)]
struct Records {
    accounts: Vec<i64>,
    workflows: Vec<i64>,
    deliveries: Vec<i64>,
    attempts: Vec<i32>,
    witnesses: Vec<&'static str>,
    verdicts: Vec<&'static str>,
    effects: Vec<&'static str>,
    states: Vec<&'static str>,
    carrier_references: Vec<Option<String>>,
    reasons: Vec<Option<String>>,
    decided: usize,
}

impl Records {
    fn push(
        &mut self,
        situation: &Situation,
        attempt: i32,
        said: &Said<'_>,
        effect: Effect,
        state: DeliveryState,
    ) {
        let Owner { account_id, workflow_id, .. } = situation.owner;
        self.accounts.push(account_id.0);
        self.workflows.push(workflow_id.0);
        self.deliveries.push(situation.delivery_id.0);
        self.attempts.push(attempt);
        self.witnesses.push(said.evidence.witness().as_str());
        self.verdicts.push(said.evidence.verdict().as_str());
        self.effects.push(effect.as_str());
        self.states.push(state.as_str());
        self.carrier_references.push(said.carrier_reference.map(str::to_owned));
        self.reasons.push(said.reason.clone());
        self.decided += usize::from(effect == Effect::Decided);
    }

    async fn write(
        &self,
        conn: &mut PgConnection,
        hearing: &Hearing<'_>,
    ) -> Result<(), StoreError> {
        if self.deliveries.is_empty() {
            return Ok(());
        }
        let decided = sqlx::query_file_scalar!(
            "queries/evidence/insert.sql",
            &self.accounts,
            &self.workflows,
            &self.deliveries,
            &self.attempts,
            &self.witnesses as &[&str],
            &self.verdicts as &[&str],
            &self.effects as &[&str],
            &self.states as &[&str],
            &self.carrier_references as &[Option<String>],
            &self.reasons as &[Option<String>],
            hearing.batch_id,
            hearing.actor,
            hearing.now,
        )
        .fetch_one(conn)
        .await?;
        // Somebody else has just decided about one of them.
        expect_all(row::count(decided), self.decided)
    }
}
