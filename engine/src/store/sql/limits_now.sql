SELECT tenant, name, workflow, step, key, share, weights FROM limits ORDER BY tenant, name
