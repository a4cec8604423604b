-- What an audit has found to be wrong. A break stays until a person settles it: one that cannot be found
-- any more is still asked about, since wrong books do not mend themselves.
CREATE TABLE audit_breaks (
    audit_break_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The invariant that is broken, by its number.
    invariant SMALLINT NOT NULL,
    -- The row that breaks it: `delivery 7`.
    subject TEXT NOT NULL,
    -- What was found, as the last audit that found it said.
    problem TEXT NOT NULL,
    -- What stays the same about it while it is the same break, such as by how much a balance is wrong while
    -- the balance itself moves on. A settled break excuses only itself.
    difference TEXT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL,
    last_seen_at TIMESTAMPTZ NOT NULL,
    -- When an audit first looked for it in vain. Null while it is still there.
    gone_at TIMESTAMPTZ,
    settled_at TIMESTAMPTZ,
    settled_by TEXT,
    settled_reason TEXT,
    -- The adjust entry that settled it. Null where no money was owed to anybody.
    ledger_entry_id BIGINT REFERENCES ledger_entries (ledger_entry_id),
    CONSTRAINT invariants_have_numbers CHECK (invariant BETWEEN 1 AND 10),
    CONSTRAINT settled_by_and_reason_iff_settled CHECK
        ((settled_at IS NULL) = (settled_by IS NULL) AND (settled_at IS NULL) = (settled_reason IS NULL)),
    CONSTRAINT a_settlement_gives_its_reason CHECK (btrim(coalesce(settled_reason, 'open')) <> ''),
    CONSTRAINT only_a_settlement_points_at_an_entry CHECK (ledger_entry_id IS NULL OR settled_at IS NOT NULL)
);
CREATE UNIQUE INDEX an_unsettled_break_is_recorded_once ON audit_breaks (invariant, subject)
    WHERE settled_at IS NULL;
CREATE INDEX audit_breaks_by_subject ON audit_breaks (invariant, subject);
CREATE TRIGGER audit_breaks_are_never_removed BEFORE DELETE OR TRUNCATE ON audit_breaks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal();
