-- An event with what it is about to start. Nothing if its idempotency key is known.
WITH added AS (
    INSERT INTO events (id, tenant, key, scope, subject, body, idempotency_key, request_hash, replay_of, created_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING id
), runs AS (
    INSERT INTO event_runs (event_id, trigger_id, trigger_name, workflow, state, reason, run_id, body)
    SELECT a.id, r.trigger_id, r.trigger_name, r.workflow, r.state, r.reason, r.run_id, r.body
    FROM added a, unnest($11::uuid[], $12::text[], $13::text[], $14::text[], $15::text[], $16::uuid[], $17::bytea[])
        AS r(trigger_id, trigger_name, workflow, state, reason, run_id, body)
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $2, $10, $18, $19, $20, $21, $22, jsonb_build_object('key', $3::text, 'runs', cardinality($11::uuid[])) FROM added
)
SELECT count(*) FROM added
