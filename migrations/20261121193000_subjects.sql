-- What a subject (an end user) keeps with Valet besides runs and files: answers, secrets, documents' roles, browser states. Bodies
-- are sealed under the subject's key. A new value is a new version; of a removed one its row stays, without the body.
CREATE TABLE subject_items (
    tenant     text NOT NULL,
    subject    text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('answer', 'secret', 'document', 'browser_state')),
    name       text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    body       bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    PRIMARY KEY (tenant, subject, kind, name, version)
);

-- Which run was given which version.
CREATE TABLE subject_uses (
    run_id  uuid NOT NULL,
    kind    text NOT NULL,
    name    text NOT NULL,
    version integer NOT NULL,
    tenant  text NOT NULL,
    subject text NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, kind, name, version)
);
CREATE INDEX subject_uses_of_subject ON subject_uses (tenant, subject, used_at DESC);

-- Subjects to be forgotten, and those that were. While one is under way nothing new of the subject is taken in.
CREATE TABLE erasures (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text NOT NULL,
    subject      text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    requested_by text NOT NULL,
    erased_at    timestamptz
);
CREATE UNIQUE INDEX erasures_under_way ON erasures (tenant, subject) WHERE erased_at IS NULL;
CREATE INDEX erasures_of_subject ON erasures (tenant, subject, id DESC);
CREATE INDEX blobs_of_subject ON blobs (tenant, subject, id);
