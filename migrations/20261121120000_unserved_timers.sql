-- A timer with a queue is due only while no worker has pulled that queue for `unserved_ms`: what waits for a host waits as long
-- as the host has workers, however busy they are.
ALTER TABLE timers ADD COLUMN queue text, ADD COLUMN unserved_ms bigint, ADD CHECK ((queue IS NULL) = (unserved_ms IS NULL));
