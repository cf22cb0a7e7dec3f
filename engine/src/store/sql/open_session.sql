INSERT INTO sessions (id, kind, name, queues, slots, free_slots, labels, expires_at, tenant)
VALUES ($1, $2, $3, $4, $5, $5, $6::jsonb, now() + $7 * interval '1 millisecond', $8)
