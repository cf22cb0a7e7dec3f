-- What is paused beside single runs: a row is a pause. The statements that grant look here, so that nothing new is granted once a
-- pause is answered. `*` stands for every tenant.
CREATE TABLE pauses (
    tenant    text NOT NULL,
    scope     text NOT NULL CHECK (scope IN ('engine', 'tenant', 'workflow', 'queue', 'worker')),
    name      text NOT NULL,
    version   bigint GENERATED ALWAYS AS IDENTITY,
    paused_by text NOT NULL,
    reason    text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, scope, name),
    CHECK ((scope IN ('engine', 'tenant')) = (name = '')),
    CHECK (scope <> 'engine' OR tenant = '*'),
    CHECK (scope <> 'tenant' OR tenant <> '*')
);

-- The pauses that hold a step, whoever would take it. Clean-ups of a closing run go on under the pause of its workflow or tenant.
-- Inlined into the statements that ask, so that it costs them one look at an index.
CREATE FUNCTION pauses_of_step(of_tenant text, of_workflow text, of_queue text, of_run uuid) RETURNS SETOF pauses
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM pauses p
    WHERE p.tenant IN ('*', of_tenant)
      AND (p.scope = 'engine'
           OR p.scope = 'queue' AND (p.name = of_queue OR starts_with(of_queue, p.name || '.on.'))
           OR (p.scope = 'tenant' OR p.scope = 'workflow' AND p.name = of_workflow)
              AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = of_run AND r.status = 'closing'))
$$;

-- The pauses that keep a worker from new steps: by its session, or by the name that it bears through restarts.
CREATE FUNCTION pauses_of_worker(of_session uuid) RETURNS SETOF pauses
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM sessions x JOIN pauses p ON p.tenant = coalesce(x.tenant, '*') AND p.scope = 'worker'
    WHERE x.id = of_session AND p.name IN (x.name, 'sess_' || replace(x.id::text, '-', ''))
$$;
