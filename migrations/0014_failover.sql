-- A second route for what a first one cannot hand over.

ALTER TABLE routes
    -- Where messages go while this route is halted, or when it has not sent one. Its own failover is not followed.
    ADD COLUMN failover_route_id BIGINT REFERENCES routes (route_id),
    ADD CONSTRAINT a_failover_is_another_route CHECK (failover_route_id <> route_id);

CREATE INDEX routes_failover ON routes (failover_route_id) WHERE failover_route_id IS NOT NULL;

-- Over which route it went. Null for those from before there were failovers: their step's. No foreign key, as
-- everywhere on what is written for each message.
ALTER TABLE attempts ADD COLUMN route_id BIGINT;

-- The routes that a step's messages can go over: its own, and that one's failover.
CREATE VIEW step_routes AS
SELECT workflow_id, position, route_id FROM steps
UNION ALL
SELECT s.workflow_id, s.position, r.failover_route_id
FROM steps s JOIN routes r USING (route_id)
WHERE r.failover_route_id IS NOT NULL;
