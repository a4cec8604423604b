-- Named carrier configurations that steps point to.
CREATE TABLE routes (
    route_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    name TEXT NOT NULL,
    -- The carrier plugin's name.
    carrier TEXT NOT NULL,
    -- The plugin's settings: one flat object of strings, none of them secret.
    settings JSONB NOT NULL DEFAULT '{}',
    -- Secret name to where it is kept (`env:NAME` or `file:/path`). Never the secret.
    secrets JSONB NOT NULL DEFAULT '{}',
    sender TEXT NOT NULL,
    price_micros_per_segment BIGINT NOT NULL,
    -- Origins (scheme://host:port) that this route may send to. Empty: none.
    allowed_origins TEXT[] NOT NULL,
    -- Lets the route send to this machine itself; for tests and simulators.
    allow_loopback BOOLEAN NOT NULL DEFAULT false,
    -- Raised by every change, so that a worker knows when its copy is old.
    revision BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT route_names_are_unique_in_an_account UNIQUE (account_id, name),
    CONSTRAINT route_price_is_not_negative CHECK (price_micros_per_segment >= 0)
);

CREATE TABLE workflows (
    workflow_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    name TEXT NOT NULL,
    -- What to do when the text to be sent has more segments than were held for it.
    surplus_policy TEXT NOT NULL DEFAULT 'fail',
    -- Enrollments carry the epoch they were made in. Pause raises it, and that one update is the
    -- fence: no mark of an earlier epoch can commit after it.
    epoch BIGINT NOT NULL DEFAULT 1,
    -- Raised by every edit. An enrolment is priced against one revision and refused on another.
    revision BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- Set for good by delete. The row stays, since enrollments and ledger entries speak of it.
    deleted_at TIMESTAMPTZ,
    CONSTRAINT workflow_name_is_not_blank CHECK (btrim(name) <> ''),
    CONSTRAINT surplus_policy_is_known CHECK (surplus_policy IN ('charge', 'fail'))
);
CREATE UNIQUE INDEX workflow_names_are_unique_in_an_account ON workflows (account_id, name)
    WHERE deleted_at IS NULL;

-- The one order of an account's workflows, 1..n without gaps. Apart from `workflows`, so that a
-- move never waits for the locks of messages being sent.
CREATE TABLE workflow_positions (
    workflow_id BIGINT PRIMARY KEY REFERENCES workflows (workflow_id),
    account_id BIGINT NOT NULL REFERENCES accounts (account_id),
    position INTEGER NOT NULL,
    CONSTRAINT a_position_is_held_by_one_workflow UNIQUE (account_id, position) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT positions_start_at_1 CHECK (position >= 1)
);

CREATE TABLE steps (
    step_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id BIGINT NOT NULL REFERENCES workflows (workflow_id),
    position INTEGER NOT NULL,
    template TEXT NOT NULL,
    renderer TEXT NOT NULL,
    route_id BIGINT NOT NULL REFERENCES routes (route_id),
    after_seconds BIGINT NOT NULL,
    -- Local time of day and weekdays (ISO: Monday is 1) in the contact's time zone.
    at_local TIME,
    days SMALLINT[],
    expires_after_seconds BIGINT,
    CONSTRAINT a_position_is_held_by_one_step UNIQUE (workflow_id, position),
    CONSTRAINT step_positions_start_at_1 CHECK (position >= 1),
    CONSTRAINT after_is_not_negative CHECK (after_seconds >= 0),
    CONSTRAINT expires_after_is_positive CHECK (expires_after_seconds > 0),
    CONSTRAINT days_are_iso_weekdays CHECK (days <@ ARRAY[1,2,3,4,5,6,7]::SMALLINT[])
);
