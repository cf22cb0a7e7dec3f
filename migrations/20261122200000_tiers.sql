-- Rules that operators change while runs go on. What a kind means, and which values are in order, is the code's to say.
CREATE TABLE rules (
    tenant     text NOT NULL,
    kind       text NOT NULL,
    name       text NOT NULL,
    version    bigint GENERATED ALWAYS AS IDENTITY,
    value      jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, kind, name)
);

-- How a tier did at a site. Both weights are as of `at` and decay from there. The site '' is everywhere: the tier's health.
CREATE TABLE tier_tallies (
    tenant text NOT NULL,
    tier   text NOT NULL,
    site   text NOT NULL,
    good   double precision NOT NULL CHECK (good >= 0),
    bad    double precision NOT NULL CHECK (bad >= 0),
    at     timestamptz NOT NULL,
    PRIMARY KEY (tenant, site, tier)
);

-- What is known of a site, whoever visits it: how long it is left alone, and when the latest visit begins that was given a time.
CREATE TABLE tier_sites (
    tenant        text NOT NULL,
    site          text NOT NULL,
    revision      bigint NOT NULL DEFAULT 1,
    cool_until    timestamptz,
    cool_why      text,
    last_visit_at timestamptz,
    visits        integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, site)
);

-- One browser of a run: when it may begin, and how it came off. An outcome is told once, so that it is counted once.
CREATE TABLE tier_visits (
    run_id    uuid NOT NULL,
    browser   integer NOT NULL,
    tenant    text NOT NULL,
    subject   text NOT NULL,
    tier      text NOT NULL,
    site      text NOT NULL,
    policy    text,
    begins_at timestamptz NOT NULL,
    outcome   text CHECK (outcome IN ('good', 'detected', 'failed', 'lost')),
    ended_at  timestamptz,
    PRIMARY KEY (run_id, browser),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
CREATE INDEX tier_visits_of_tenant ON tier_visits (tenant, begins_at);
CREATE INDEX tier_visits_by_age ON tier_visits (begins_at);
