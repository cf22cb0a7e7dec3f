-- Which run was given the file. Artifacts are runs' own, and nothing is noted for a run of another tenant.
INSERT INTO subject_uses (run_id, kind, name, version, tenant, subject)
SELECT r.id, 'file', $3, 1, b.tenant, b.subject FROM blobs b JOIN runs r ON r.tenant = b.tenant
WHERE b.id = $2 AND b.kind = 'file' AND r.id = $1 ON CONFLICT DO NOTHING
