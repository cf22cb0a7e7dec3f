-- Things outside that runs hold, such as sandboxes. The row is there before the thing is. Which states a kind has, and where each leads, is
-- the code's to say; an engine knows nothing of what they are.
CREATE TABLE resources (
    tenant         text NOT NULL,
    kind           text NOT NULL,
    key            text NOT NULL,
    class          text NOT NULL,
    state          text NOT NULL,
    ended          boolean NOT NULL DEFAULT false,
    run_id         uuid,
    -- Which of its run's things it was claimed for: so that a claim that is repeated finds what it was given.
    claimed_for    text,
    fence          bigint NOT NULL DEFAULT 1 CHECK (fence > 0),
    lease_until    timestamptz NOT NULL,
    not_before     timestamptz,
    labels         jsonb NOT NULL,
    sealed         bytea,
    reason         text,
    uses           integer NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    state_since    timestamptz NOT NULL DEFAULT now(),
    -- Millionths of a US dollar an hour, from `metered_at` on.
    rate_micros    bigint NOT NULL DEFAULT 0 CHECK (rate_micros >= 0),
    metered_at     timestamptz NOT NULL DEFAULT now(),
    cost_micros    bigint NOT NULL DEFAULT 0,
    -- Of that, what its run was told.
    charged_micros bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, kind, key)
);
CREATE INDEX resources_live ON resources (kind, tenant, created_at) WHERE NOT ended;
CREATE INDEX resources_leases ON resources (kind, lease_until) WHERE NOT ended;
CREATE INDEX resources_ended ON resources (state_since) WHERE ended;
CREATE UNIQUE INDEX resources_claimed ON resources (tenant, kind, run_id, claimed_for);

-- What the resources of a class cost in a day (UTC), as of each one's last change.
CREATE TABLE resource_meters (
    tenant  text NOT NULL,
    kind    text NOT NULL,
    class   text NOT NULL,
    day     date NOT NULL,
    seconds double precision NOT NULL,
    micros  bigint NOT NULL,
    PRIMARY KEY (tenant, kind, class, day)
);

-- What one costs that is at this rate since then.
CREATE FUNCTION resource_accrued(rate bigint, since timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT floor(rate * greatest(extract(epoch FROM now() - since), 0) / 3600)::bigint
$$;

-- Nobody looks after it any more: its lease ended, or the run is over whose it is.
CREATE FUNCTION resource_left(is_ended boolean, lease timestamptz, of_run uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT is_ended AND (lease < now() OR of_run IS NOT NULL AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = of_run))
$$;
