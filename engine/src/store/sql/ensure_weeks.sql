SELECT ensure_week(w) FROM generate_series($1::int, $2::int) AS w
