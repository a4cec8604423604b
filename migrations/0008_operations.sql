-- Operations say more: what was shown or found before they began, whom a removal by filter chose, what
-- could not be cancelled any more, and enrolments of many chunks, which reserve their whole price.

ALTER TABLE operations
    -- The caller's name for it, so that beginning it twice begins it once.
    ADD COLUMN batch_id UUID,
    -- Whom a removal chose, as it was asked for. Who that is stands in `operation_members`.
    ADD COLUMN selection TEXT,
    -- What there was to do when it began: counted behind the fence of a pause, so that the fence itself
    -- stays short. Null before that was counted, and for operations older than these columns.
    ADD COLUMN preview_contacts BIGINT,
    ADD COLUMN preview_messages BIGINT,
    ADD COLUMN preview_segments BIGINT,
    ADD COLUMN preview_micros BIGINT,
    ADD COLUMN preview_in_flight BIGINT,
    -- An enrolment of many chunks. One `hold` entry takes its whole price first; each chunk moves its
    -- part of the reserve into its enrollments, which point at that same entry; the end gives back what
    -- nobody needed. So the money is there for all or nobody is enrolled, and no transaction is longer
    -- than a chunk.
    ADD COLUMN epoch BIGINT,
    ADD COLUMN enrolled_enrollments BIGINT NOT NULL DEFAULT 0,
    -- The number of the last chunk that is done, from 1.
    ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN reserved_segments BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN reserved_micros BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN hold_entry_id BIGINT,
    ADD COLUMN release_entry_id BIGINT,
    DROP CONSTRAINT operation_kind_is_known,
    DROP CONSTRAINT closed_epoch_iff_the_whole_workflow,
    ADD CONSTRAINT operation_kind_is_known CHECK (kind IN ('pause', 'delete', 'remove', 'enrol')),
    ADD CONSTRAINT closed_epoch_iff_the_whole_workflow CHECK
        ((kind IN ('pause', 'delete')) = (closed_epoch IS NOT NULL)),
    ADD CONSTRAINT a_batch_begins_one_operation UNIQUE (batch_id),
    ADD CONSTRAINT only_an_enrolment_reserves CHECK
        ((kind = 'enrol') = (hold_entry_id IS NOT NULL) AND (kind = 'enrol') = (epoch IS NOT NULL)),
    ADD CONSTRAINT an_enrolment_knows_its_contacts CHECK
        (kind <> 'enrol' OR enrolled_enrollments BETWEEN 0 AND preview_contacts),
    ADD CONSTRAINT reserved_is_not_negative CHECK (reserved_segments >= 0 AND reserved_micros >= 0),
    ADD CONSTRAINT nothing_is_reserved_after_the_end CHECK
        (finished_at IS NULL OR (reserved_segments = 0 AND reserved_micros = 0)),
    -- A purge has one entry for each of its chunks; its rows point at them.
    ADD CONSTRAINT release_entry_iff_an_enrolment_gave_back CHECK
        ((release_entry_id IS NOT NULL)
         = (kind = 'enrol' AND (released_segments > 0 OR released_micros > 0)));

-- The enrollments that a removal by filter chose, fixed when it began: it takes out those of them who
-- have not left by themselves when it comes to them, and nobody else.
CREATE TABLE operation_members (
    operation_id BIGINT NOT NULL,
    contact_id BIGINT NOT NULL,
    enrollment_id BIGINT NOT NULL,
    -- In the order in which the purge goes through them.
    PRIMARY KEY (operation_id, contact_id)
);

-- What an operation could not cancel any more, since it was handed over or may have been: what
-- `--wait` waits for.
CREATE TABLE operation_in_flight (
    operation_id BIGINT NOT NULL,
    delivery_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (operation_id, delivery_id)
);
