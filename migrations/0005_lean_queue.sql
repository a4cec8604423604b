-- Slims apalis' jobs table, which every message passes three times (inserted, claimed, deleted), as
-- far as apalis' own readers and migrations allow. Its columns, primary keys and functions stay.

-- The owner of a job was checked at every claim, which costs more than the claim. Our workers register
-- before they claim, and a ticket whose owner is not a living worker goes back into the queue.
ALTER TABLE apalis.jobs DROP CONSTRAINT IF EXISTS fk_worker_lock_by;
-- Copies of the primary keys.
DROP INDEX IF EXISTS apalis.unique_job_id;
DROP INDEX IF EXISTS apalis.unique_worker_id;
-- Two indexes on the owner, of every job that was ever run. Ours holds only what is claimed now,
-- which is what the rescue of a dead worker's tickets looks for.
DROP INDEX IF EXISTS apalis.lidx;
DROP INDEX IF EXISTS apalis.idx_apalis_jobs_lock_by;
CREATE INDEX jobs_claimed ON apalis.jobs (lock_by) WHERE status IN ('Queued', 'Running');
-- Copies of two others.
DROP INDEX IF EXISTS apalis.lsidx;
DROP INDEX IF EXISTS apalis.wtidx;
-- Tickets have no idempotency key, and need no entry in its index.
DROP INDEX IF EXISTS apalis.idx_jobs_idempotency_key;
CREATE UNIQUE INDEX idx_jobs_idempotency_key ON apalis.jobs (job_type, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Tickets come and go all day; dead ones at the head of the queue would slow every claim.
ALTER TABLE apalis.jobs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05);

-- One notification per statement and queue instead of one per row. It names the first job that is due,
-- so that apalis' own listeners still understand it; ours only takes it as a wake-up call.
DROP TRIGGER IF EXISTS notify_workers ON apalis.jobs;
CREATE OR REPLACE FUNCTION apalis.notify_new_jobs() RETURNS TRIGGER AS $$
BEGIN
    PERFORM pg_notify('apalis::job::insert',
        json_build_object('job_type', due.job_type, 'id', due.id, 'run_at', due.run_at)::text)
    FROM (SELECT DISTINCT ON (job_type) job_type, id, run_at FROM inserted
          WHERE run_at <= now() ORDER BY job_type, run_at) AS due;
    RETURN NULL;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER notify_workers AFTER INSERT ON apalis.jobs
    REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION apalis.notify_new_jobs();
