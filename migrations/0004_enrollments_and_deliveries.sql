-- Pause, delete and removal as recorded deeds: they are begun in one transaction, go on in chunks
-- from any process, and keep what they took back.
CREATE TABLE operations (
    operation_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    workflow_id BIGINT NOT NULL REFERENCES workflows (workflow_id),
    kind TEXT NOT NULL,
    -- Enrollments of this epoch and older are purged.
    closed_epoch BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    -- What has been done so far; what came back is money already in `balances`.
    removed_enrollments BIGINT NOT NULL DEFAULT 0,
    cancelled_deliveries BIGINT NOT NULL DEFAULT 0,
    released_segments BIGINT NOT NULL DEFAULT 0,
    released_micros BIGINT NOT NULL DEFAULT 0,
    started_at TIMESTAMPTZ NOT NULL,
    -- By the database's clock, once the workflow's row was locked. Whether a mark came after the
    -- fence can only be told by one clock, so this and `attempts.marked_at` are not the caller's.
    fenced_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    finished_at TIMESTAMPTZ,
    CONSTRAINT operation_kind_is_known CHECK (kind IN ('pause', 'delete', 'remove'))
);
CREATE INDEX operations_not_finished ON operations (operation_id) WHERE finished_at IS NULL;
CREATE INDEX operations_by_workflow ON operations (workflow_id, operation_id);

-- One contact's way through one workflow. While `exit_cause` is null it is live.
CREATE TABLE enrollments (
    enrollment_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    workflow_id BIGINT NOT NULL REFERENCES workflows (workflow_id),
    contact_id BIGINT NOT NULL REFERENCES contacts (contact_id),
    epoch BIGINT NOT NULL,
    -- Copy of the account's setting at enrolment, so that an index can keep it.
    exclusive BOOLEAN NOT NULL,
    -- What was held for each step, in the order of the steps. Written once.
    step_segments INTEGER[] NOT NULL,
    step_micros BIGINT[] NOT NULL,
    -- The position of the last step that has a delivery. Steps after it are still held here.
    position INTEGER NOT NULL,
    remaining_segments BIGINT NOT NULL,
    remaining_micros BIGINT NOT NULL,
    hold_entry_id BIGINT NOT NULL REFERENCES ledger_entries (ledger_entry_id),
    enrolled_by TEXT NOT NULL,
    enrolled_at TIMESTAMPTZ NOT NULL,
    exit_cause TEXT,
    exited_by TEXT,
    exited_at TIMESTAMPTZ,
    -- What the exit gave back for the steps that never got a delivery.
    released_segments BIGINT NOT NULL DEFAULT 0,
    released_micros BIGINT NOT NULL DEFAULT 0,
    release_entry_id BIGINT REFERENCES ledger_entries (ledger_entry_id),
    operation_id BIGINT REFERENCES operations (operation_id),
    CONSTRAINT exit_cause_is_known CHECK (exit_cause IN
        ('finished', 'removed', 'workflow_paused', 'workflow_deleted', 'replied', 'opted_out', 'failed', 'expired')),
    CONSTRAINT exited_at_and_by_iff_exit_cause CHECK
        ((exit_cause IS NULL) = (exited_at IS NULL) AND (exit_cause IS NULL) = (exited_by IS NULL)),
    CONSTRAINT nothing_remains_after_exit CHECK
        (exit_cause IS NULL OR (remaining_segments = 0 AND remaining_micros = 0)),
    CONSTRAINT every_step_has_segments_and_a_price CHECK
        (cardinality(step_segments) = cardinality(step_micros) AND cardinality(step_segments) >= 1),
    CONSTRAINT position_is_one_of_the_steps CHECK (position BETWEEN 1 AND cardinality(step_segments)),
    CONSTRAINT remaining_is_not_negative CHECK (remaining_segments >= 0 AND remaining_micros >= 0),
    CONSTRAINT released_micros_iff_release_entry CHECK ((released_micros > 0) <= (release_entry_id IS NOT NULL))
);
CREATE UNIQUE INDEX one_live_enrollment_per_contact_and_workflow ON enrollments (workflow_id, contact_id)
    WHERE exit_cause IS NULL;
CREATE UNIQUE INDEX one_live_workflow_per_contact ON enrollments (contact_id)
    WHERE exit_cause IS NULL AND exclusive;
CREATE INDEX enrollments_by_workflow ON enrollments (workflow_id, enrollment_id);
CREATE INDEX enrollments_by_contact ON enrollments (contact_id, enrollment_id);

-- The processes that send. An incarnation that is gone never comes back; a restart is a new row.
CREATE TABLE workers (
    worker_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- host-pid-uuid; also the name in `apalis.workers`.
    name TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    heartbeat_at TIMESTAMPTZ NOT NULL,
    stopped_at TIMESTAMPTZ,
    CONSTRAINT worker_names_are_unique UNIQUE (name)
);

-- One step for one enrollment.
CREATE TABLE deliveries (
    delivery_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    workflow_id BIGINT NOT NULL,
    enrollment_id BIGINT NOT NULL REFERENCES enrollments (enrollment_id),
    contact_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    -- Hand-overs so far; the number of the last one.
    attempt INTEGER NOT NULL DEFAULT 0,
    due_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    -- Everything held for this delivery, including what a longer text added at its mark.
    held_segments BIGINT NOT NULL,
    held_micros BIGINT NOT NULL,
    captured_segments BIGINT NOT NULL DEFAULT 0,
    captured_micros BIGINT NOT NULL DEFAULT 0,
    released_segments BIGINT NOT NULL DEFAULT 0,
    released_micros BIGINT NOT NULL DEFAULT 0,
    -- What a longer text added to the hold, and the entry that did.
    extra_segments BIGINT NOT NULL DEFAULT 0,
    extra_micros BIGINT NOT NULL DEFAULT 0,
    extra_hold_entry_id BIGINT REFERENCES ledger_entries (ledger_entry_id),
    capture_entry_id BIGINT REFERENCES ledger_entries (ledger_entry_id),
    release_entry_id BIGINT REFERENCES ledger_entries (ledger_entry_id),
    -- The apalis job that will wake this delivery, while it is queued.
    ticket_id TEXT,
    -- The worker that marked it, while it is sending.
    worker_id BIGINT,
    carrier_reference TEXT,
    -- Why it failed, or what is not known.
    reason_code TEXT,
    reason_text TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    settled_at TIMESTAMPTZ,
    CONSTRAINT state_is_known CHECK (state IN
        ('queued', 'sending', 'unknown', 'sent', 'failed', 'cancelled', 'expired')),
    CONSTRAINT attempts_start_at_1 CHECK (attempt >= 1 OR state IN ('queued', 'cancelled', 'expired', 'failed')),
    CONSTRAINT ticket_iff_queued CHECK ((state = 'queued') = (ticket_id IS NOT NULL)),
    CONSTRAINT settled_iff_terminal CHECK
        ((state IN ('sent', 'failed', 'cancelled', 'expired')) = (settled_at IS NOT NULL)),
    CONSTRAINT a_settled_hold_is_captured_or_released CHECK
        (settled_at IS NULL OR held_micros = captured_micros + released_micros),
    CONSTRAINT only_what_was_sent_is_captured CHECK (captured_micros = 0 OR state = 'sent'),
    CONSTRAINT one_delivery_per_enrollment_and_step UNIQUE (enrollment_id, position)
);
CREATE UNIQUE INDEX one_live_delivery_per_enrollment ON deliveries (enrollment_id)
    WHERE state IN ('queued', 'sending', 'unknown');
CREATE INDEX deliveries_queued ON deliveries (due_at) WHERE state = 'queued';
CREATE INDEX deliveries_on_the_wire ON deliveries (workflow_id) WHERE state IN ('sending', 'unknown');

-- One hand-over of a delivery to a carrier.
CREATE TABLE attempts (
    delivery_id BIGINT NOT NULL REFERENCES deliveries (delivery_id),
    attempt INTEGER NOT NULL,
    worker_id BIGINT NOT NULL,
    -- The batch that marked it, by which a worker recognises a mark whose COMMIT got no answer.
    batch_id UUID NOT NULL,
    -- The enrollment's epoch, which was the workflow's when the attempt was marked.
    epoch BIGINT NOT NULL,
    segments INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    -- By the database's clock, after the workflow's and the contact's row were locked.
    marked_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- Null while nobody knows.
    outcome TEXT,
    finished_at TIMESTAMPTZ,
    reason_code TEXT,
    reason_text TEXT,
    PRIMARY KEY (delivery_id, attempt),
    CONSTRAINT outcome_is_known CHECK (outcome IN ('accepted', 'refused', 'not_sent', 'unknown')),
    CONSTRAINT finished_at_iff_outcome CHECK ((outcome IS NULL) = (finished_at IS NULL))
);
