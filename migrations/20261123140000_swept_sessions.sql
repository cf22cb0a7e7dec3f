-- What a session held is given to others once a sweep found it ended: an outage that is noticed after that gives it no new lease.
ALTER TABLE sessions ADD COLUMN swept boolean NOT NULL DEFAULT false;
