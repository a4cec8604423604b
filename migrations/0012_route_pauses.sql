-- A route that an operator has paused: nothing is handed over to it, and what is due for it waits.
ALTER TABLE routes
    ADD COLUMN paused_at TIMESTAMPTZ,
    ADD COLUMN paused_reason TEXT,
    ADD CONSTRAINT only_a_paused_route_has_a_reason CHECK (paused_at IS NOT NULL OR paused_reason IS NULL);
