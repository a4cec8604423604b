-- What decides about an attempt whose outcome nobody knew.

-- Two more ends of an attempt. `presumed_sent`: no evidence came in time, and it was taken for sent.
-- `repeated`: nobody knows, and a later attempt has sent the same request again under the key that the
-- carrier keeps; that one decides for both.
ALTER TABLE attempts DROP CONSTRAINT outcome_is_known;
ALTER TABLE attempts ADD CONSTRAINT outcome_is_known CHECK
    (outcome IN ('accepted', 'refused', 'not_sent', 'unknown', 'presumed_sent', 'repeated'));

-- Under what the carrier knows an attempt, written with its mark. Only for carriers that can be asked by
-- our reference or that keep a key; the others could do nothing with it.
CREATE TABLE attempt_references (
    delivery_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    -- The route and its revision then: another route, or other settings, may be another account of the
    -- carrier, whose word about this attempt would be worth nothing.
    route_id BIGINT NOT NULL,
    route_revision BIGINT NOT NULL,
    -- The carrier plugin's name.
    carrier TEXT NOT NULL,
    -- Ours, as the carrier was given it. With a key, every attempt of a delivery has the same one.
    reference TEXT NOT NULL,
    -- Until when the carrier keeps the key, and a digest of the request that it stands for. Null: the
    -- carrier keeps none.
    key_expires_at TIMESTAMPTZ,
    request_digest TEXT,
    PRIMARY KEY (delivery_id, attempt),
    CONSTRAINT a_key_stands_for_one_request CHECK ((key_expires_at IS NULL) = (request_digest IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- What was said about attempts whose outcome nobody knew, or that somebody had decided about. Rows are
-- written once. The first piece of evidence decides; the others stand here for people to see.
CREATE TABLE evidence (
    evidence_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL,
    workflow_id BIGINT NOT NULL,
    delivery_id BIGINT NOT NULL,
    -- The attempt that it speaks of.
    attempt INTEGER NOT NULL,
    witness TEXT NOT NULL,
    verdict TEXT NOT NULL,
    effect TEXT NOT NULL,
    -- What the delivery became by a decision; what it was already, otherwise.
    state TEXT NOT NULL,
    -- The batch that recorded it. A batch whose COMMIT got no answer is looked up by this id.
    batch_id UUID NOT NULL,
    carrier_reference TEXT,
    actor TEXT NOT NULL,
    reason TEXT,
    recorded_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT witness_is_known CHECK (witness IN ('receipt', 'carrier', 'operator', 'worker', 'deadline')),
    CONSTRAINT verdict_is_known CHECK (verdict IN ('sent', 'not_sent', 'presumed_sent')),
    CONSTRAINT only_the_deadline_presumes CHECK ((witness = 'deadline') = (verdict = 'presumed_sent')),
    CONSTRAINT effect_is_known CHECK (effect IN ('decided', 'agreed', 'contradicted')),
    CONSTRAINT a_batch_says_one_thing_of_a_delivery UNIQUE (batch_id, delivery_id)
);
CREATE INDEX evidence_by_delivery ON evidence (delivery_id, evidence_id);
CREATE UNIQUE INDEX an_attempt_is_decided_once ON evidence (delivery_id, attempt) WHERE effect = 'decided';
-- A receipt that comes twice contradicts once.
CREATE UNIQUE INDEX a_contradiction_is_kept_once ON evidence (delivery_id, attempt, witness, verdict)
    WHERE effect = 'contradicted';
CREATE INDEX contradictions_by_account ON evidence (account_id, delivery_id) WHERE effect = 'contradicted';

-- A carrier's latest report on an attempt. Attempt 0 is of a delivery as a whole: the carrier keeps a key,
-- under which all attempts are the same message.
CREATE TABLE receipts (
    delivery_id BIGINT NOT NULL,
    attempt INTEGER NOT NULL,
    status TEXT NOT NULL,
    -- Never falls: a report that comes late does not hide what is known.
    rank SMALLINT NOT NULL,
    carrier_reference TEXT,
    reason_code TEXT,
    reason_text TEXT,
    received_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (delivery_id, attempt),
    CONSTRAINT status_is_known CHECK (status IN ('queued', 'sent', 'delivered', 'undelivered')),
    CONSTRAINT rank_is_the_statuss CHECK
        (rank = CASE status WHEN 'queued' THEN 1 WHEN 'sent' THEN 2 ELSE 3 END)
) WITH (fillfactor = 80);

-- Receipts name messages by the carrier's id; of a message that the carrier has split, by the first of
-- its ids. A hash, since it is only ever compared, and random ids would spread over a tree's every page.
CREATE INDEX deliveries_by_carrier_reference ON deliveries
    USING hash (split_part(carrier_reference, ',', 1)) WHERE carrier_reference IS NOT NULL;

-- What is done about unknown deliveries whose carrier can be asked, or told again: how often that was
-- done, and when next. A worker that takes one on moves `due_at` first, so that no other takes it on.
CREATE TABLE inquiries (
    delivery_id BIGINT PRIMARY KEY,
    inquiry INTEGER NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT inquiries_start_at_1 CHECK (inquiry >= 1)
);

CREATE FUNCTION refuse_evidence_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence is never changed or removed; a later piece stands beside it';
END;
$$;
CREATE TRIGGER evidence_is_never_changed
    BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_evidence_change();
