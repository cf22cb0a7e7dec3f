-- Runs that waited to begin for longer than a limit lets them. What is paused does not wait.
SELECT DISTINCT s.run_id, l.name
FROM limits l
JOIN slots s ON s.tenant = l.tenant AND s.name = l.name AND NOT s.held
JOIN runs r ON r.id = s.run_id
WHERE l.expires_ms IS NOT NULL AND s.since < now() - l.expires_ms * interval '1 millisecond' AND r.status = 'queued' AND NOT r.paused
LIMIT 1000
