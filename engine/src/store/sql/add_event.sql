-- An event with what it is about to start and whom it is about to wake: of the runs within reach that wait for it, those that have waited
-- longest. Nothing if its idempotency key is known.
WITH added AS (
    INSERT INTO events (id, tenant, key, scope, subject, body, idempotency_key, request_hash, replay_of, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING id, at
), runs AS (
    INSERT INTO event_runs (event_id, trigger_id, trigger_name, workflow, state, reason, run_id, body)
    SELECT a.id, r.trigger_id, r.trigger_name, r.workflow, r.state, r.reason, r.run_id, r.body
    FROM added a, unnest($11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::uuid[], $17::bytea[])
        AS r(trigger_id, trigger_name, workflow, state, reason, run_id, body)
), fitting AS (
    SELECT run_id, seq, since, subject, workflow, scope FROM event_waits WHERE tenant = $2 AND key = $3 AND key_like IS NULL
    UNION ALL
    SELECT run_id, seq, since, subject, workflow, scope FROM event_waits
    WHERE tenant = $2 AND key_like IS NOT NULL AND $3 LIKE key_like
), wakes AS (
    INSERT INTO event_wakes (event_id, run_id, seq)
    SELECT a.id, w.run_id, w.seq
    FROM added a CROSS JOIN (
        SELECT run_id, seq FROM fitting
        WHERE (scope IS NULL OR scope = $4) AND ($23::text[] IS NULL OR workflow = ANY ($23))
          AND ($24::text[] IS NULL OR subject = ANY ($24))
        ORDER BY since, run_id, seq LIMIT $25) AS w
    RETURNING 1
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $2, $10, $18, $19, $20, $21, $22, jsonb_build_object('key', $3::text, 'runs', cardinality($11::uuid[])) FROM added
)
SELECT at, (SELECT count(*) FROM wakes) AS wakes FROM added
