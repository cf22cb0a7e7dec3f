-- What lists of ended runs are looked for by. Ends pay for one entry more, of the subject; the others are of few runs as a rule.
CREATE INDEX finished_runs_of_subject ON finished_runs (tenant, subject, created_at DESC, id DESC);
CREATE INDEX finished_runs_gone_wrong ON finished_runs (tenant, created_at DESC, id DESC) WHERE status <> 'succeeded';
CREATE INDEX finished_runs_attributes ON finished_runs USING gin (attributes jsonb_path_ops) WHERE attributes <> '{}';
CREATE INDEX finished_runs_of_parent ON finished_runs (parent_run) WHERE parent_run IS NOT NULL;
CREATE INDEX runs_of_parent ON runs (parent_run) WHERE parent_run IS NOT NULL;
