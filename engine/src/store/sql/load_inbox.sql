SELECT to_run, from_run, number, body FROM inbox WHERE to_run = ANY($1::uuid[]) ORDER BY sent_at, number LIMIT 1000
