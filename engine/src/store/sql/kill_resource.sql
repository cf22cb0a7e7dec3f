-- Whoever holds it has lost it; its lease is over, so that the next that reaps ends it. None if there is none, or it has ended.
WITH before AS (
    SELECT key, state, ended FROM resources WHERE tenant = $1 AND kind = $2 AND key = $3 FOR UPDATE
), killed AS (
    UPDATE resources r SET state = $4, fence = r.fence + 1, lease_until = now() - interval '1 millisecond', reason = $5,
        state_since = CASE WHEN r.state <> $4 THEN now() ELSE r.state_since END
    FROM before b WHERE r.tenant = $1 AND r.kind = $2 AND r.key = b.key AND NOT b.ended
    RETURNING r.key, r.state
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $6, $7, $8, $9, $10, $11, jsonb_build_object('state', b.state), jsonb_build_object('state', k.state)
    FROM killed k JOIN before b USING (key)
)
SELECT count(*) FROM killed
