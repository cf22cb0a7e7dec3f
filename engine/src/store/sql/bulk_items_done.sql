-- What an undo is about: runs that were acted on, behind a position.
SELECT position, run_id FROM bulk_items WHERE operation_id = $1 AND position > $2 AND state = 'done' ORDER BY position LIMIT $3
