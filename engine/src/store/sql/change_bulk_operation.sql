-- Another state ($3) or another rate ($4), where it is in one of the states $2. A turn that is under way ends as it would have.
WITH before AS MATERIALIZED (
    SELECT id, state, rate FROM bulk_operations WHERE id = $1 AND state = ANY($2::text[]) FOR UPDATE
), changed AS (
    UPDATE bulk_operations o
    SET state = coalesce($3, o.state), rate = coalesce($4, o.rate), next_at = least(o.next_at, now() + interval '1 second'),
        ended_at = CASE WHEN $3 = 'cancelled' THEN now() ELSE o.ended_at END
    FROM before b WHERE o.id = b.id AND (o.state, o.rate) IS DISTINCT FROM (coalesce($3, o.state), coalesce($4, o.rate))
    RETURNING o.tenant, o.state, o.rate
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT c.tenant, $5, $6, $7, $8, $9, $10, jsonb_build_object('state', b.state, 'rate', b.rate),
           jsonb_build_object('state', c.state, 'rate', c.rate)
    FROM changed c, before b
)
SELECT count(*) FROM before
