-- What an operator sees of routes that are halted, and the way back for deliveries that have failed.

-- A stretch of time in which one worker hands nothing over to one route, since its carrier is down. The
-- workers decide by themselves and never read this table; it is for people. Of a worker that has
-- stopped, the last row may stay without an end: it halts nothing any more.
--
-- No foreign keys, as with deliveries: nothing here may make a worker wait.
CREATE TABLE route_halts (
    route_halt_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    route_id BIGINT NOT NULL,
    worker_id BIGINT NOT NULL,
    halted_at TIMESTAMPTZ NOT NULL,
    -- When the worker lets one delivery through, to see.
    probe_at TIMESTAMPTZ NOT NULL,
    failed_probes BIGINT NOT NULL DEFAULT 0,
    -- Of the last failure.
    reason_code TEXT NOT NULL,
    reason_text TEXT NOT NULL,
    resumed_at TIMESTAMPTZ,
    CONSTRAINT failed_probes_are_not_negative CHECK (failed_probes >= 0)
);
CREATE UNIQUE INDEX a_worker_halts_a_route_once_at_a_time ON route_halts (route_id, worker_id)
    WHERE resumed_at IS NULL;
CREATE INDEX route_halts_by_route ON route_halts (route_id, route_halt_id);

-- An enrollment that requeues a failed delivery begins at that delivery's step. The steps before it hold
-- nothing: their segments and prices are 0.
ALTER TABLE enrollments
    ADD COLUMN first_position INTEGER NOT NULL DEFAULT 1,
    -- The failed delivery that it takes up.
    ADD COLUMN requeued_delivery_id BIGINT,
    -- The workflow's revision that it was priced against. Null: made before this was written down.
    ADD COLUMN revision BIGINT;
ALTER TABLE enrollments
    ADD CONSTRAINT first_position_is_not_behind_the_position CHECK (first_position BETWEEN 1 AND position),
    ADD CONSTRAINT only_a_requeue_begins_later CHECK (first_position = 1 OR requeued_delivery_id IS NOT NULL),
    ADD CONSTRAINT steps_before_the_first_hold_nothing CHECK
        (first_position = 1
         OR (step_segments[1 : first_position - 1] = array_fill(0, ARRAY[first_position - 1])
             AND step_micros[1 : first_position - 1] = array_fill(0::BIGINT, ARRAY[first_position - 1])));
-- A failed delivery is requeued at most once. Its successor may fail and be requeued in its turn.
CREATE UNIQUE INDEX a_failed_delivery_is_requeued_once ON enrollments (requeued_delivery_id)
    WHERE requeued_delivery_id IS NOT NULL;
-- What `delivery requeue` looks through: what has ended for a reason. Like every index of deliveries it
-- does not speak of `state`, so that a mark stays a heap-only update.
CREATE INDEX deliveries_ended_for_a_reason ON deliveries (account_id, delivery_id)
    WHERE settled_at IS NOT NULL AND reason_code IS NOT NULL;
