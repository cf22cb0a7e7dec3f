-- A worker's session serves the tenant of its token; without one (the token of the engine's own file) all of them.
ALTER TABLE sessions ADD COLUMN tenant text;
ALTER TABLE sessions ADD CONSTRAINT sessions_of_engines_serve_all CHECK (kind <> 'engine' OR tenant IS NULL);
