-- In the order in which rows became final: below every transaction that is still open, so that no row turns up behind a reader.
-- `txid` alone would be the text that is read.
SELECT txid::text AS txid, number, at, who, via, address, request, action, target, before, after
FROM audit
WHERE tenant = $1 AND txid < pg_snapshot_xmin(pg_current_snapshot())
  AND ($2::text IS NULL OR (txid, number) > ($2::xid8, $3::bigint))
  AND ($4::text IS NULL OR target = $4)
ORDER BY audit.txid, number LIMIT $5
