SELECT kind, name, version, value, changed_by, changed_at FROM rules WHERE tenant = $1 AND kind = $2 AND name = $3
