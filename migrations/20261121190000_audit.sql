-- Who did what, on what, from where. A row is written by the statement that makes the change, and never changed or removed:
-- whatever role the engine connects with. States and ids only, nothing that a person said.
CREATE TABLE audit (
    -- Rows become visible out of order; a reader that stays below every open transaction misses none.
    txid    xid8 NOT NULL DEFAULT pg_current_xact_id(),
    number  bigint GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT now(),
    tenant  text NOT NULL,
    who     text NOT NULL,
    via     text NOT NULL CHECK (via IN ('token', 'session', 'link', 'queue')),
    address text,
    request text,
    action  text NOT NULL,
    target  text NOT NULL,
    before  jsonb,
    after   jsonb,
    PRIMARY KEY (txid, number)
);
CREATE INDEX audit_of_target ON audit (target);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is append-only: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM PUBLIC;
