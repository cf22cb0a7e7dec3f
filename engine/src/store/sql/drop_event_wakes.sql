DELETE FROM event_wakes WHERE event_id = $1
