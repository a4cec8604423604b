-- Fills an empty, migrated database with enrollments in three steps and with all that belongs to them,
-- as weeks of sending would: about 55 deliveries to 20 enrollments. %enrollments% is how many of those.
--
-- Of 20 enrollments, 16 have finished with three messages sent, two wait for their second message, one
-- was paused before its first, and one failed at its second after its first had needed two attempts.
-- Every entry covers 5,000 enrollments or about 500 deliveries, as the transactions write them.
INSERT INTO accounts (name, currency, created_at) VALUES ('audited', 'EUR', now());
INSERT INTO routes (account_id, name, carrier, sender, price_micros_per_segment, allowed_origins, created_at, updated_at)
SELECT account_id, 'main', 'twilio', '+12025550100', 7500, '{}', now(), now() FROM accounts;
INSERT INTO workflows (account_id, name, epoch, created_at, updated_at)
SELECT account_id, w.name, epoch, now(), now()
FROM accounts, (VALUES ('open', 1), ('paused', 2)) AS w (name, epoch);
INSERT INTO workers (name, started_at, heartbeat_at) VALUES ('audited-worker', now(), now());
INSERT INTO operations (account_id, workflow_id, kind, closed_epoch, actor, started_at, fenced_at, finished_at)
SELECT account_id, workflow_id, 'pause', 1, 'bench', now(), 'infinity', now()
FROM workflows WHERE name = 'paused';

-- Contacts get the ids 1 to n, and so do their enrollments.
INSERT INTO contacts (account_id, phone, time_zone, created_at, updated_at)
SELECT account_id, '+1' || (2000000000 + n), 'UTC', now(), now()
FROM accounts, generate_series(1, %enrollments%) n;

INSERT INTO enrollments (account_id, workflow_id, contact_id, epoch, exclusive, step_segments, step_micros,
                         position, remaining_segments, remaining_micros, hold_entry_id, enrolled_by,
                         enrolled_at, exit_cause, exited_by, exited_at, released_segments, released_micros,
                         release_entry_id)
SELECT a.account_id, w.workflow_id, n, 1, true, '{1,1,1}', '{7500,7500,7500}',
       CASE WHEN n % 20 < 16 THEN 3 WHEN n % 20 = 18 THEN 1 ELSE 2 END,
       CASE WHEN n % 20 IN (16, 17) THEN 1 ELSE 0 END,
       CASE WHEN n % 20 IN (16, 17) THEN 7500 ELSE 0 END,
       1000000000 + n / 5000, 'bench', now(),
       CASE WHEN n % 20 < 16 THEN 'finished' WHEN n % 20 = 18 THEN 'workflow_paused'
            WHEN n % 20 = 19 THEN 'failed' END,
       CASE WHEN n % 20 IN (16, 17) THEN NULL ELSE 'bench' END,
       CASE WHEN n % 20 IN (16, 17) THEN NULL ELSE now() END,
       CASE n % 20 WHEN 18 THEN 2 WHEN 19 THEN 1 ELSE 0 END,
       CASE n % 20 WHEN 18 THEN 15000 WHEN 19 THEN 7500 ELSE 0 END,
       CASE WHEN n % 20 IN (18, 19) THEN 2000000000 + n / 5000 END
FROM accounts a,
     generate_series(1, %enrollments%) n
     JOIN workflows w ON w.name = CASE WHEN n % 20 = 18 THEN 'paused' ELSE 'open' END
ORDER BY n;

INSERT INTO deliveries (account_id, workflow_id, enrollment_id, contact_id, position, state, attempt, due_at,
                        held_segments, held_micros, captured_segments, captured_micros,
                        released_segments, released_micros, capture_entry_id, release_entry_id,
                        ticket_id, created_at, settled_at)
SELECT e.account_id, e.workflow_id, e.enrollment_id, e.contact_id, d.position, d.state, d.attempt,
       now() + INTERVAL '1 day', 1, 7500,
       (d.state = 'sent')::INTEGER, 7500 * (d.state = 'sent')::INTEGER,
       (d.state IN ('failed', 'cancelled'))::INTEGER,
       7500 * (d.state IN ('failed', 'cancelled'))::INTEGER,
       CASE WHEN d.state = 'sent' THEN 3000000000 + e.enrollment_id / 180 END,
       CASE WHEN d.state IN ('failed', 'cancelled') THEN 2000000000 + e.enrollment_id / 5000 END,
       CASE WHEN d.state = 'queued' THEN 'ticket-' || e.enrollment_id END, now(),
       CASE WHEN d.state <> 'queued' THEN now() END
FROM enrollments e,
     LATERAL (
         SELECT p AS position,
                CASE WHEN p < e.position OR e.exit_cause = 'finished' THEN 'sent'
                     WHEN e.exit_cause IS NULL THEN 'queued'
                     WHEN e.exit_cause = 'failed' THEN 'failed' ELSE 'cancelled' END AS state,
                CASE WHEN e.exit_cause = 'failed' AND p = 1 THEN 2
                     WHEN e.exit_cause = 'workflow_paused' OR e.exit_cause IS NULL AND p = e.position THEN 0
                     ELSE 1 END AS attempt
         FROM generate_series(1, e.position) p) d
ORDER BY e.enrollment_id, d.position;

INSERT INTO attempts (delivery_id, attempt, worker_id, batch_id, epoch, workflow_id, segments, started_at,
                      outcome, finished_at)
SELECT d.delivery_id, a.attempt, w.worker_id, '00000000-0000-7000-8000-000000000001', 1, d.workflow_id, 1,
       now(),
       CASE WHEN a.attempt < d.attempt THEN 'not_sent' WHEN d.state = 'failed' THEN 'refused'
            ELSE 'accepted' END,
       now()
FROM deliveries d, workers w, generate_series(1, d.attempt) AS a (attempt);

INSERT INTO apalis.jobs (id, job, job_type, status, run_at)
SELECT ticket_id, convert_to(jsonb_build_object('delivery_id', delivery_id)::TEXT, 'UTF8'),
       'dripline.deliver', 'Pending', due_at
FROM deliveries WHERE state = 'queued';

-- The entries are the sums of what points at them, and the balance is the sum of the entries.
INSERT INTO ledger_entries (ledger_entry_id, account_id, kind, amount_micros, segments, items, batch_id,
                            actor, created_at)
OVERRIDING SYSTEM VALUE
SELECT entry_id, min(account_id), kind, sum(micros), sum(segments), count(*), gen_random_uuid(), 'bench', now()
FROM (
    SELECT hold_entry_id AS entry_id, account_id, 'hold' AS kind, 22500 AS micros, 3 AS segments
    FROM enrollments
    UNION ALL
    SELECT release_entry_id, account_id, 'release', released_micros, released_segments
    FROM enrollments WHERE release_entry_id IS NOT NULL
    UNION ALL
    SELECT capture_entry_id, account_id, 'capture', captured_micros, captured_segments
    FROM deliveries WHERE capture_entry_id IS NOT NULL
    UNION ALL
    SELECT release_entry_id, account_id, 'release', released_micros, released_segments
    FROM deliveries WHERE release_entry_id IS NOT NULL
) pointing
GROUP BY entry_id, kind;
INSERT INTO ledger_entries (account_id, kind, amount_micros, batch_id, actor, created_at)
SELECT account_id, 'topup', 1000000000000000, gen_random_uuid(), 'bench', now() FROM accounts;
INSERT INTO balances (account_id, available_micros, held_micros, spent_micros)
SELECT account_id,
       sum(CASE kind WHEN 'hold' THEN -amount_micros WHEN 'capture' THEN 0 ELSE amount_micros END),
       sum(CASE kind WHEN 'hold' THEN amount_micros WHEN 'topup' THEN 0 ELSE -amount_micros END),
       sum(CASE kind WHEN 'capture' THEN amount_micros ELSE 0 END)
FROM ledger_entries GROUP BY account_id;
