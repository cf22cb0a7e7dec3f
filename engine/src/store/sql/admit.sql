-- What these keys of limits have free goes to those who wait for it; see the function.
SELECT run_id, seq, attempt, queue, ticketed, tenant, name, key, (extract(epoch FROM again_at - now()) * 1000)::float8 AS again_ms, over,
       CASE WHEN ticketed THEN (SELECT CASE WHEN s.wants IS NULL THEN s.prefers END FROM steps s
                                WHERE s.run_id = a.run_id AND s.seq = a.seq) END AS prefers
FROM admit_steps($1::text[], $2::text[], $3::text[], $4::text[]) AS a
