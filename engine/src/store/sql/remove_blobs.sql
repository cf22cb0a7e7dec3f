DELETE FROM blobs WHERE id = ANY($1::uuid[])
