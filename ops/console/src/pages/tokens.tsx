// Who may come in: tokens, made and revoked. A secret is shown once.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, told } from "../api/client";
import { tokensQuery } from "../api/queries";
import { useAct } from "../ui/act";
import { Ago, Button, Command, Empty, Fault, Loading, Page } from "../ui/basics";
import { Ask } from "../ui/dialog";
import { SecretOnce } from "../ui/secret";
import { Table } from "../ui/table";

type Token = Schemas["TokenView"];

const ROLES = [
  { role: "viewer", may: "read" },
  { role: "reviewer", may: "read, and answer tasks" },
  { role: "operator", may: "start and operate runs too" },
  { role: "admin", may: "manage tokens too, and see the audit" },
  { role: "worker", may: "do steps, and nothing else" },
];

const DAY_S = 24 * 3_600;
const LIVES = [
  { name: "never", seconds: undefined },
  { name: "a day", seconds: DAY_S },
  { name: "30 days", seconds: 30 * DAY_S },
  { name: "a year", seconds: 365 * DAY_S },
];

export function Tokens() {
  const { data, error, isPending } = useQuery(tokensQuery);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<Schemas["TokenCreated"]>();
  const [revoking, setRevoking] = useState<Token>();
  return (
    <Page
      title="Tokens"
      actions={
        <Button look="main" icon="plus" onClick={() => setMaking(true)}>
          Make a token
        </Button>
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.tokens.length === 0 && (
        <Empty title="No token but that of the engine’s own file.">
          <p>Make one for every person and program: what it does is told by its name.</p>
        </Empty>
      )}
      {data !== undefined && data.tokens.length > 0 && (
        <Table
          label="tokens"
          rows={data.tokens}
          rowKey={({ id }) => id}
          rowClass={({ revoked_at }) => (revoked_at == null ? undefined : "faint")}
          columns={[
            { name: "name", cell: ({ name }) => <strong>{name}</strong> },
            {
              name: "may",
              className: "grow",
              cell: ({ scopes, workflows, subjects }) => (
                <span className="tags">
                  {[
                    ...scopes,
                    ...(workflows ?? []).map((one) => `workflow ${one}`),
                    ...(subjects ?? []).map((one) => `subject ${one}`),
                  ].map((word) => (
                    <span key={word} className="tag">
                      {word}
                    </span>
                  ))}
                </span>
              ),
            },
            { name: "made by", wideOnly: true, cell: ({ created_by }) => created_by },
            { name: "made", wideOnly: true, cell: ({ created_at }) => <Ago at={created_at} /> },
            {
              name: "used",
              wideOnly: true,
              cell: ({ last_used_at }) => (last_used_at == null ? "never" : <Ago at={last_used_at} />),
            },
            { name: "expires", cell: ({ expires_at }) => (expires_at == null ? "never" : <Ago at={expires_at} />) },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (token) =>
                token.revoked_at == null ? (
                  <Button look="quiet" aria-label={`revoke ${token.name}`} onClick={() => setRevoking(token)}>
                    Revoke
                  </Button>
                ) : (
                  <span className="badge cancelled">revoked</span>
                ),
            },
          ]}
        />
      )}
      <Command text="valet tokens" />
      {making && <Make onClose={() => setMaking(false)} onMade={setMade} />}
      {made !== undefined && (
        <SecretOnce title={`The token ${made.name}`} secret={made.secret} onClose={() => setMade(undefined)} />
      )}
      {revoking !== undefined && <Revoke token={revoking} onClose={() => setRevoking(undefined)} />}
    </Page>
  );
}

function Make({ onClose, onMade }: { onClose: () => void; onMade: (made: Schemas["TokenCreated"]) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [workflows, setWorkflows] = useState("");
  const [subjects, setSubjects] = useState("");
  const [life, setLife] = useState(0);
  const act = useAct({
    run: () => {
      const [onlyWorkflows, onlySubjects] = [words(workflows), words(subjects)];
      const seconds = LIVES[life]?.seconds;
      const body = {
        name: name.trim(),
        role,
        ...(onlyWorkflows.length === 0 ? {} : { workflows: onlyWorkflows }),
        ...(onlySubjects.length === 0 ? {} : { subjects: onlySubjects }),
        ...(seconds === undefined ? {} : { expires_in_s: seconds }),
      };
      return told(api.POST("/api/v1/tokens", { body }));
    },
    after: (made) => {
      onClose();
      onMade(made as Schemas["TokenCreated"]);
    },
  });
  return (
    <Ask
      title="Make a token"
      action="Make it"
      busy={act.isPending}
      error={act.error}
      disabled={name.trim() === ""}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="token-name">Name: who did something with it is told by this</label>
        <input id="token-name" value={name} onChange={(event) => setName(event.target.value)} maxLength={128} />
      </div>
      <fieldset className="field">
        <legend>Role</legend>
        <div className="choices column">
          {ROLES.map((one) => (
            <label key={one.role}>
              <input type="radio" name="role" checked={role === one.role} onChange={() => setRole(one.role)} />
              <span>
                {one.role} <span className="hint">{one.may}</span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      <div className="field">
        <label htmlFor="token-workflows">
          Only these workflows, separated by commas <span className="optional">optional</span>
        </label>
        <input id="token-workflows" value={workflows} onChange={(event) => setWorkflows(event.target.value)} />
      </div>
      <div className="field">
        <label htmlFor="token-subjects">
          Only these subjects, separated by commas <span className="optional">optional</span>
        </label>
        <input id="token-subjects" value={subjects} onChange={(event) => setSubjects(event.target.value)} />
      </div>
      <div className="field">
        <label htmlFor="token-life">Expires</label>
        <select id="token-life" value={life} onChange={(event) => setLife(Number(event.target.value))}>
          {LIVES.map((one, index) => (
            <option key={one.name} value={index}>
              {one.name}
            </option>
          ))}
        </select>
      </div>
    </Ask>
  );
}

function words(text: string): string[] {
  return text
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id: token.id } } })),
    done: "Revoked.",
    after: onClose,
  });
  return (
    <Ask
      title={`Revoke ${token.name}`}
      action="Revoke"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>It opens nothing more, within two seconds on all engines. Sessions that were opened with it end too.</p>
    </Ask>
  );
}
