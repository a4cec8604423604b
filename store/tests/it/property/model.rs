//! The plain model: what the design says, without a database, without locks, in a few vectors.

use std::collections::BTreeMap;

use super::deed::Outcome;

/// One account with everything of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) spent: i64,
    /// Whether each contact has opted out.
    pub(super) opted_out: Vec<bool>,
    pub(super) workflows: Vec<Workflow>,
    pub(super) enrollments: Vec<Enrollment>,
}

#[derive(Debug)]
pub(super) struct Workflow {
    pub(super) steps: usize,
    pub(super) charge: bool,
}

#[derive(Debug)]
pub(super) struct Enrollment {
    pub(super) contact: usize,
    pub(super) workflow: usize,
    /// Segments and price of each step.
    pub(super) steps: Vec<(i64, i64)>,
    /// The first ones of the steps.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) exit: Option<&'static str>,
    /// What the exit gave back.
    pub(super) released: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) state: &'static str,
    pub(super) attempt: i32,
    pub(super) held_segments: i64,
    pub(super) held: i64,
    pub(super) captured: i64,
    pub(super) released: i64,
    /// The segments of the text last handed over.
    pub(super) text: i64,
    /// How many hand-overs of which nobody knows its last one repeats.
    repeats: i32,
    /// Whether it was handed over at all, and not only counted.
    pub(super) handed_over: bool,
}

/// What can be compared with the rows of one enrollment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) exit: Option<String>,
    pub(super) remaining: i64,
    pub(super) released: i64,
    /// State, attempt, held, captured, released.
    pub(super) deliveries: Vec<(String, i32, i64, i64, i64)>,
}

const MAX_ATTEMPTS: i32 = 3;

impl Delivery {
    fn queued((held_segments, held): (i64, i64)) -> Self {
        Self {
            state: "queued",
            attempt: 0,
            held_segments,
            held,
            captured: 0,
            released: 0,
            text: 0,
            repeats: 0,
            handed_over: false,
        }
    }
}

impl Enrollment {
    fn remaining(&self) -> i64 {
        match self.exit {
            None => self.steps[self.deliveries.len()..].iter().map(|(_, micros)| micros).sum(),
            Some(_) => 0,
        }
    }

    fn last(&mut self) -> &mut Delivery {
        self.deliveries.last_mut().expect("an enrollment begins with its first delivery")
    }
}

impl Model {
    /// The enrollments whose last delivery is in one of these states.
    pub(super) fn in_state(&self, states: &[&str]) -> Vec<usize> {
        let is_in = |e: &Enrollment| e.deliveries.last().is_some_and(|d| states.contains(&d.state));
        (0..self.enrollments.len()).filter(|e| is_in(&self.enrollments[*e])).collect()
    }

    pub(super) fn live(&self) -> Vec<usize> {
        (0..self.enrollments.len()).filter(|e| self.enrollments[*e].exit.is_none()).collect()
    }

    pub(super) fn live_in(&self, workflow: usize) -> Vec<usize> {
        let mut live = self.live();
        live.retain(|e| self.enrollments[*e].workflow == workflow);
        live
    }

    /// Whether the account's money covers everybody who was asked for; who is enrolled.
    pub(super) fn enroll(
        &mut self,
        workflow: usize,
        contacts: &[usize],
        steps: &[(i64, i64)],
    ) -> Option<Vec<usize>> {
        let price: i64 = steps.iter().map(|(_, micros)| micros).sum();
        let asked = price * i64::try_from(contacts.len()).expect("few contacts");
        if self.available < asked {
            return None;
        }
        let free: Vec<usize> = contacts
            .iter()
            .copied()
            .filter(|contact| !self.opted_out[*contact])
            .filter(|contact| self.live().iter().all(|e| self.enrollments[*e].contact != *contact))
            .collect();
        for contact in &free {
            self.available -= price;
            self.held += price;
            self.enrollments.push(Enrollment {
                contact: *contact,
                workflow,
                steps: steps.to_vec(),
                deliveries: vec![Delivery::queued(steps[0])],
                exit: None,
                released: 0,
            });
        }
        Some(free)
    }

    /// Whether the text may leave.
    pub(super) fn start(&mut self, enrollment: usize, segments: i64) -> bool {
        let charge = self.workflows[self.enrollments[enrollment].workflow].charge;
        let delivery = self.enrollments[enrollment].last();
        let surplus = segments - delivery.held_segments;
        if surplus > 0 {
            let extra = surplus * (delivery.held / delivery.held_segments);
            if !charge || self.available < extra {
                return false;
            }
            self.available -= extra;
            self.held += extra;
            delivery.held += extra;
            delivery.held_segments = segments;
        }
        delivery.state = "sending";
        delivery.attempt += 1;
        delivery.text = segments;
        delivery.handed_over = true;
        true
    }

    /// Whether the workflow and the contact let an unknown message be handed over once more.
    pub(super) fn repeat(&mut self, enrollment: usize) -> bool {
        let live = self.enrollments[enrollment].exit.is_none();
        let delivery = self.enrollments[enrollment].last();
        if !live {
            return false;
        }
        delivery.state = "sending";
        delivery.attempt += 1;
        delivery.repeats += 1;
        true
    }

    /// What evidence makes of the last delivery: something only while nobody knows, or when it was sent, and
    /// waits to be sent again. `is_known`: whoever says so knows. Whether it did something.
    pub(super) fn resolve(&mut self, enrollment: usize, sent: bool, is_known: bool) -> bool {
        let last = self.enrollments[enrollment].last();
        let is_waiting = last.state == "queued" && last.handed_over;
        if last.state != "unknown" && !(is_waiting && sent && is_known) {
            return false;
        }
        if sent {
            self.send(enrollment);
        } else {
            // Together they were one try.
            self.try_again(enrollment);
            self.enrollments[enrollment].last().repeats = 0;
        }
        true
    }

    pub(super) fn finish(&mut self, enrollment: usize, outcome: Outcome) {
        // A repetition that the carrier did not take says nothing about the hand-over before.
        let repeats = self.enrollments[enrollment].last().repeats;
        let outcome = match outcome {
            Outcome::Refused | Outcome::NotSent if repeats > 0 => Outcome::Unknown,
            other => other,
        };
        match outcome {
            Outcome::Accepted => self.send(enrollment),
            Outcome::Refused => self.end(enrollment, "failed", "failed"),
            Outcome::NotSent => self.try_again(enrollment),
            Outcome::Unknown => self.enrollments[enrollment].last().state = "unknown",
        }
    }

    fn send(&mut self, enrollment: usize) {
        let delivery = self.enrollments[enrollment].last();
        let captured = if delivery.text >= delivery.held_segments {
            delivery.held
        } else {
            delivery.held * delivery.text / delivery.held_segments
        };
        delivery.state = "sent";
        delivery.captured = captured;
        delivery.released = delivery.held - captured;
        self.held -= delivery.held;
        self.spent += captured;
        self.available += delivery.released;
        let enrollment = &mut self.enrollments[enrollment];
        if enrollment.exit.is_none() {
            match enrollment.steps.get(enrollment.deliveries.len()) {
                Some(step) => enrollment.deliveries.push(Delivery::queued(*step)),
                None => enrollment.exit = Some("finished"),
            }
        }
    }

    fn try_again(&mut self, enrollment: usize) {
        let ended = self.enrollments[enrollment].exit.is_some();
        let delivery = self.enrollments[enrollment].last();
        if ended {
            self.settle_unsent(enrollment, "cancelled");
        } else if delivery.attempt - delivery.repeats < MAX_ATTEMPTS {
            delivery.state = "queued";
        } else {
            self.end(enrollment, "failed", "failed");
        }
    }

    /// A delivery that could not be prepared: counts as an attempt.
    pub(super) fn retry(&mut self, enrollment: usize) {
        self.enrollments[enrollment].last().attempt += 1;
        self.try_again(enrollment);
    }

    /// Ends the delivery unsent, and the enrollment where it is live.
    pub(super) fn end(&mut self, enrollment: usize, state: &'static str, cause: &'static str) {
        self.settle_unsent(enrollment, state);
        self.exit(enrollment, cause);
    }

    fn settle_unsent(&mut self, enrollment: usize, state: &'static str) {
        let delivery = self.enrollments[enrollment].last();
        delivery.state = state;
        delivery.released = delivery.held;
        self.held -= delivery.held;
        self.available += delivery.held;
    }

    fn exit(&mut self, enrollment: usize, cause: &'static str) {
        let enrollment = &mut self.enrollments[enrollment];
        if enrollment.exit.is_some() {
            return;
        }
        enrollment.released = enrollment.remaining();
        enrollment.exit = Some(cause);
        self.held -= enrollment.released;
        self.available += enrollment.released;
    }

    /// Takes a live enrollment out: what is queued is cancelled, what is on the wire stays.
    pub(super) fn take_out(&mut self, enrollment: usize, cause: &'static str) {
        if self.enrollments[enrollment].last().state == "queued" {
            self.settle_unsent(enrollment, "cancelled");
        }
        self.exit(enrollment, cause);
    }

    /// Every enrollment as its rows should show it, by contact and workflow, oldest first.
    pub(super) fn seen(&self) -> BTreeMap<(usize, usize), Vec<Seen>> {
        let mut seen: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
        for enrollment in &self.enrollments {
            let deliveries = enrollment.deliveries.iter();
            let deliveries = deliveries
                .map(|d| (d.state.to_owned(), d.attempt, d.held, d.captured, d.released))
                .collect();
            seen.entry((enrollment.contact, enrollment.workflow)).or_default().push(Seen {
                exit: enrollment.exit.map(str::to_owned),
                remaining: enrollment.remaining(),
                released: enrollment.released,
                deliveries,
            });
        }
        seen
    }
}
