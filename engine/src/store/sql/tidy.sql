-- What nobody will ask for again, in bounded bites.
WITH old_batches AS (
    DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE at < now() - interval '1 hour' ORDER BY at LIMIT 20000)
), due_keys AS MATERIALIZED (
    SELECT k.tenant, k.workflow, k.key, EXISTS (SELECT 1 FROM runs r WHERE r.id = k.run_id) AS is_live
    FROM idempotency k WHERE k.expires_at < now() ORDER BY k.expires_at LIMIT 5000
), old_keys AS (
    DELETE FROM idempotency k USING due_keys d
    WHERE NOT d.is_live AND (k.tenant, k.workflow, k.key) = (d.tenant, d.workflow, d.key)
), kept_keys AS (
    -- A key that was let go while its run lives would start that work once more.
    UPDATE idempotency k SET expires_at = now() + interval '7 days' FROM due_keys d
    WHERE d.is_live AND (k.tenant, k.workflow, k.key) = (d.tenant, d.workflow, d.key)
), old_sessions AS (
    DELETE FROM sessions WHERE expires_at < now() - interval '1 day'
), old_pauses AS (
    DELETE FROM pauses p WHERE p.scope = 'worker' AND p.name ~ '^sess_[0-9a-f]{32}$'
      AND NOT EXISTS (SELECT 1 FROM sessions x WHERE p.name = 'sess_' || replace(x.id::text, '-', ''))
), old_notices AS (
    DELETE FROM notices WHERE id IN (
        -- Also what waits for somebody who is gone.
        SELECT id FROM notices WHERE at < now() - interval '30 days' LIMIT 5000)
), old_visits AS (
    DELETE FROM tier_visits WHERE (run_id, browser) IN (
        SELECT run_id, browser FROM tier_visits WHERE begins_at < now() - interval '30 days' ORDER BY begins_at LIMIT 5000)
), old_resources AS (
    DELETE FROM resources WHERE (tenant, kind, key) IN (
        SELECT tenant, kind, key FROM resources WHERE ended AND state_since < now() - interval '30 days' ORDER BY state_since LIMIT 5000)
), old_meters AS (
    DELETE FROM resource_meters WHERE day < (now() AT TIME ZONE 'UTC')::date - 400
), old_console_sessions AS (
    DELETE FROM console_sessions WHERE hash IN (
        SELECT hash FROM console_sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 5000)
), old_fires AS (
    DELETE FROM schedule_fires WHERE (schedule_id, at) IN (
        SELECT f.schedule_id, f.at FROM schedule_fires f
        WHERE f.moved_at < now() - interval '30 days' AND f.state IN ('started', 'skipped', 'refused')
          AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = f.run_id)
        ORDER BY f.moved_at LIMIT 5000)
), old_events AS (
    DELETE FROM events WHERE id IN (
        SELECT e.id FROM events e WHERE e.at < now() - interval '30 days'
          AND NOT EXISTS (SELECT 1 FROM event_runs r WHERE r.event_id = e.id AND r.state = 'starting')
          AND NOT EXISTS (SELECT 1 FROM event_wakes w WHERE w.event_id = e.id)
        ORDER BY e.at LIMIT 5000)
    RETURNING id
), old_event_runs AS (
    DELETE FROM event_runs r USING old_events e WHERE r.event_id = e.id
), old_event_waits AS (
    -- Of runs that an engine ended which did not know of them.
    DELETE FROM event_waits w WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = w.run_id)
), old_deliveries AS (
    DELETE FROM incoming_deliveries WHERE (webhook_id, delivery) IN (
        SELECT webhook_id, delivery FROM incoming_deliveries WHERE at < now() - interval '30 days' ORDER BY at LIMIT 5000)
), old_failures AS (
    DELETE FROM incoming_failures WHERE id IN (
        SELECT id FROM incoming_failures WHERE at < now() - interval '30 days' ORDER BY at LIMIT 5000)
), old_schedules AS (
    -- Those of one instant, which is over.
    DELETE FROM schedules s WHERE s.at < now() - interval '30 days' AND s.next_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM schedule_fires f WHERE f.schedule_id = s.id)
), old_bulk AS (
    -- One at a time: it may have been about very many runs.
    DELETE FROM bulk_operations WHERE id IN (
        SELECT id FROM bulk_operations WHERE ended_at < now() - interval '30 days' ORDER BY ended_at LIMIT 1)
    RETURNING id
), old_bulk_items AS (
    DELETE FROM bulk_items i USING old_bulk b WHERE i.operation_id = b.id
), old_slots AS (
    -- Of steps that are gone, with nobody after them who would have noticed.
    DELETE FROM slots s WHERE NOT EXISTS (SELECT FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq)
), old_slots_of_life AS (
    DELETE FROM slots_of_life s WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = s.run_id)
), old_limit_keys AS (
    DELETE FROM limit_keys k WHERE k.full_at < now() AND (k.cooled_until IS NULL OR k.cooled_until < now())
      AND NOT EXISTS (SELECT FROM slots s WHERE s.tenant = k.tenant AND s.name = k.name AND s.key = k.key)
)
SELECT 1 AS done
