SELECT site, revision, cool_until, cool_why, last_visit_at, visits FROM tier_sites WHERE tenant = $1 ORDER BY site LIMIT $2
