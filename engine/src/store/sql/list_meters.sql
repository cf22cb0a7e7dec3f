-- What each class cost, by day, the newest first.
SELECT class, day, seconds, micros FROM resource_meters
WHERE tenant = $1 AND kind = $2 AND day > (now() AT TIME ZONE 'UTC')::date - $3::int
ORDER BY day DESC, class LIMIT $4
