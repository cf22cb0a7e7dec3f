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
        SELECT id FROM notices WHERE next_at IS NULL AND at < now() - interval '30 days' LIMIT 5000)
), old_visits AS (
    DELETE FROM tier_visits WHERE (run_id, browser) IN (
        SELECT run_id, browser FROM tier_visits WHERE begins_at < now() - interval '30 days' ORDER BY begins_at LIMIT 5000)
), old_console_sessions AS (
    DELETE FROM console_sessions WHERE hash IN (
        SELECT hash FROM console_sessions WHERE expires_at < now() ORDER BY expires_at LIMIT 5000)
)
SELECT 1 AS done
