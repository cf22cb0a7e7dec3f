UPDATE bulk_operations SET lease_until = now() + $3 * interval '1 millisecond' WHERE id = $1 AND fence = $2 AND lease_until > now()
