-- Who pays, and every movement of money. Amounts are integers in micros (millionths of the
-- account's currency); they are never floats and never changed once written.

-- One row: the name of this installation. It makes our references to carriers unique even when two
-- installations share one carrier account.
CREATE TABLE installation (
    singleton BOOLEAN PRIMARY KEY DEFAULT true,
    installation_id UUID NOT NULL DEFAULT gen_random_uuid(),
    CONSTRAINT there_is_one_installation CHECK (singleton)
);
INSERT INTO installation DEFAULT VALUES;

CREATE TABLE accounts (
    account_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    -- ISO 4217 code, for display only: an account never mixes currencies.
    currency TEXT NOT NULL,
    -- While true, a contact can be in one live workflow of the account at a time.
    one_live_workflow_per_contact BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT account_names_are_unique UNIQUE (name),
    CONSTRAINT account_name_is_not_blank CHECK (btrim(name) <> ''),
    CONSTRAINT currency_has_three_letters CHECK (currency ~ '^[A-Z]{3}$')
);

-- The running sums of an account's ledger. Always the last row a transaction locks, since it is the
-- hottest one.
CREATE TABLE balances (
    account_id BIGINT PRIMARY KEY REFERENCES accounts (account_id),
    available_micros BIGINT NOT NULL DEFAULT 0,
    held_micros BIGINT NOT NULL DEFAULT 0,
    spent_micros BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT available_is_never_negative CHECK (available_micros >= 0),
    CONSTRAINT held_is_never_negative CHECK (held_micros >= 0),
    CONSTRAINT spent_is_never_negative CHECK (spent_micros >= 0)
);

CREATE TABLE ledger_entries (
    ledger_entry_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    kind TEXT NOT NULL,
    -- Positive, except that an adjustment may be negative.
    amount_micros BIGINT NOT NULL,
    -- What the entry covers: the segments and the number of rows that point at it.
    segments BIGINT NOT NULL DEFAULT 0,
    items BIGINT NOT NULL DEFAULT 0,
    -- The batch that wrote the entry. A batch whose COMMIT got no answer is looked up by this id.
    batch_id UUID NOT NULL,
    -- Set when every row of the entry belongs to one workflow.
    workflow_id BIGINT,
    actor TEXT NOT NULL,
    reason TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT kind_is_known CHECK (kind IN ('topup', 'hold', 'capture', 'release', 'adjust')),
    CONSTRAINT only_adjustments_may_be_negative CHECK (amount_micros >= 0 OR kind = 'adjust'),
    CONSTRAINT an_adjustment_gives_its_reason CHECK (kind <> 'adjust' OR btrim(coalesce(reason, '')) <> ''),
    CONSTRAINT a_batch_writes_one_entry_per_account_and_kind UNIQUE (batch_id, account_id, kind)
);
CREATE INDEX ledger_entries_by_account ON ledger_entries (account_id, ledger_entry_id);

CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are never changed or removed; write an adjust entry instead';
END;
$$;
CREATE TRIGGER ledger_entries_are_never_changed
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();

-- Who did what to which thing, for people. Money and exits have their own records.
CREATE TABLE audit_trail (
    audit_trail_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT REFERENCES accounts (account_id),
    actor TEXT NOT NULL,
    -- For example `workflow.edit`.
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX audit_trail_by_account ON audit_trail (account_id, audit_trail_id);
