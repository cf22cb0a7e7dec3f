-- Other live engines that have not ticked since an instant.
SELECT count(*) FROM sessions WHERE kind = 'engine' AND id <> $1 AND expires_at > now() AND seen_at <= $2
