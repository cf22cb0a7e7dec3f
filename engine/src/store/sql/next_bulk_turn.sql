-- How long until there is a turn to take; NULL: no operation is at work.
SELECT extract(epoch FROM min(greatest(next_at, coalesce(lease_until, next_at))) - now())::double precision
FROM bulk_operations WHERE state = 'running'
