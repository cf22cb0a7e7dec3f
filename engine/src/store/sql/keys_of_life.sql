-- Keys of which runs that have ended had a slot until then.
SELECT DISTINCT tenant, name, key FROM slots_of_life WHERE (run_id IN (SELECT unnest($1::uuid[]))) IS TRUE ORDER BY tenant, name, key
