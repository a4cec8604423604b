-- Pause, delete and removal as recorded deeds: they are begun in one transaction, go on in chunks
-- from any process, and keep what they took back.
CREATE TABLE operations (
    operation_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    workflow_id BIGINT NOT NULL REFERENCES workflows (workflow_id),
    kind TEXT NOT NULL,
    -- Enrollments of this epoch and older are purged. Null when only one contact was removed.
    closed_epoch BIGINT,
    -- The purge goes through the workflow's live enrollments in the order of their contacts; those up
    -- to this contact are done. It saves each chunk the walk over what earlier chunks left behind.
    purged_to_contact_id BIGINT NOT NULL DEFAULT 0,
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
    CONSTRAINT operation_kind_is_known CHECK (kind IN ('pause', 'delete', 'remove')),
    CONSTRAINT closed_epoch_iff_the_whole_workflow CHECK ((kind = 'remove') = (closed_epoch IS NULL))
);
CREATE INDEX operations_not_finished ON operations (operation_id) WHERE finished_at IS NULL;
CREATE INDEX operations_by_workflow ON operations (workflow_id, operation_id);

-- One contact's way through one workflow. While `exit_cause` is null it is live.
--
-- Ids of other tables are not foreign keys, here and below. Each check is a query of its own, planned
-- anew for each row where plans are not kept (`plan_cache_mode`): the checks alone cost more than all
-- the rest of an enrolment. What is spoken of was locked in the same transaction and is never removed
-- (see the triggers at the end), and `dripline audit` proves more than a foreign key could: that an
-- entry's sum is the sum of the rows that point at it.
-- A row points at an entry exactly if it adds segments or micros to it, and is then one of its items.
CREATE TABLE enrollments (
    enrollment_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    workflow_id BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
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
    hold_entry_id BIGINT NOT NULL,
    enrolled_by TEXT NOT NULL,
    enrolled_at TIMESTAMPTZ NOT NULL,
    exit_cause TEXT,
    exited_by TEXT,
    exited_at TIMESTAMPTZ,
    -- What the exit gave back for the steps that never got a delivery.
    released_segments BIGINT NOT NULL DEFAULT 0,
    released_micros BIGINT NOT NULL DEFAULT 0,
    release_entry_id BIGINT,
    -- The pause, delete or removal that ended it.
    operation_id BIGINT,
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
    CONSTRAINT release_entry_iff_something_was_released CHECK
        ((released_segments > 0 OR released_micros > 0) = (release_entry_id IS NOT NULL)),
    CONSTRAINT only_an_exit_releases CHECK (release_entry_id IS NULL OR exit_cause IS NOT NULL)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
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
    enrollment_id BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    -- Hand-overs so far; the number of the last one.
    attempt INTEGER NOT NULL DEFAULT 0,
    due_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    -- Everything held for this delivery, including what longer texts added at its marks
    -- (`attempts.extra_micros`).
    held_segments BIGINT NOT NULL,
    held_micros BIGINT NOT NULL,
    captured_segments BIGINT NOT NULL DEFAULT 0,
    captured_micros BIGINT NOT NULL DEFAULT 0,
    released_segments BIGINT NOT NULL DEFAULT 0,
    released_micros BIGINT NOT NULL DEFAULT 0,
    capture_entry_id BIGINT,
    release_entry_id BIGINT,
    -- The apalis job that will wake this delivery, while it is queued.
    ticket_id TEXT,
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
        (CASE WHEN settled_at IS NULL
              THEN captured_segments = 0 AND captured_micros = 0 AND released_segments = 0 AND released_micros = 0
              ELSE held_micros = captured_micros + released_micros
                   AND held_segments = captured_segments + released_segments END),
    CONSTRAINT captured_iff_sent CHECK ((state = 'sent') = (capture_entry_id IS NOT NULL)),
    CONSTRAINT only_what_was_sent_is_captured CHECK
        (state = 'sent' OR (captured_segments = 0 AND captured_micros = 0)),
    CONSTRAINT what_was_not_sent_is_released CHECK
        (state NOT IN ('failed', 'cancelled', 'expired') OR release_entry_id IS NOT NULL),
    CONSTRAINT only_a_settled_delivery_releases CHECK (release_entry_id IS NULL OR settled_at IS NOT NULL),
    CONSTRAINT one_delivery_per_enrollment_and_step UNIQUE (enrollment_id, position)
-- No index speaks of `state`, so that a mark (queued to sending) changes no index: with the room left
-- on each page it stays a heap-only update.
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- A delivery is live (queued, sending or unknown) until it is settled.
CREATE UNIQUE INDEX one_live_delivery_per_enrollment ON deliveries (enrollment_id)
    WHERE settled_at IS NULL;
CREATE INDEX deliveries_not_settled ON deliveries (due_at, delivery_id) WHERE settled_at IS NULL;

-- One hand-over of a delivery to a carrier.
CREATE TABLE attempts (
    delivery_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    worker_id BIGINT NOT NULL,
    -- The batch that marked it, by which a worker recognises a mark whose COMMIT got no answer.
    batch_id UUID NOT NULL,
    -- The enrollment's epoch, which was the workflow's when the attempt was marked.
    epoch BIGINT NOT NULL,
    -- Copy of the delivery's, so that a pause finds what is on the wire by an index.
    workflow_id BIGINT NOT NULL,
    -- What the text has. 0 when the attempt ended before there was a text.
    segments INTEGER NOT NULL,
    -- What a text longer than its hold added to the hold, and the entry that did.
    extra_segments BIGINT NOT NULL DEFAULT 0,
    extra_micros BIGINT NOT NULL DEFAULT 0,
    extra_hold_entry_id BIGINT,
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
    CONSTRAINT finished_at_iff_outcome CHECK ((outcome IS NULL) = (finished_at IS NULL)),
    CONSTRAINT extra_hold_entry_iff_something_was_added CHECK
        ((extra_segments > 0 OR extra_micros > 0) = (extra_hold_entry_id IS NOT NULL))
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- What is on the wire, and what nobody knows.
CREATE INDEX attempts_undecided ON attempts (workflow_id) WHERE outcome IS NULL OR outcome = 'unknown';

-- What others speak of stays.
CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never removed, since others speak of them', TG_TABLE_NAME;
END;
$$;
CREATE TRIGGER accounts_are_never_removed BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER workflows_are_never_removed BEFORE DELETE OR TRUNCATE ON workflows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER contacts_are_never_removed BEFORE DELETE OR TRUNCATE ON contacts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER enrollments_are_never_removed BEFORE DELETE OR TRUNCATE ON enrollments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
CREATE TRIGGER deliveries_are_never_removed BEFORE DELETE OR TRUNCATE ON deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
