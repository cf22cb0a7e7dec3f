// Nothing is shown to nobody. A session that ends while somebody works is opened anew above the page, which stays as it is.
import { useQueryClient } from "@tanstack/react-query";
import { type SubmitEvent, type ReactNode, useEffect, useState } from "react";
import { api, ApiError, EngineAway, told } from "../api/client";
import { signedIn, signedOut, useSession } from "../api/session";
import { Button, Fault } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Logo } from "../ui/icon";

const ASK_AGAIN_MS = 2_000;

export function SessionGate({ children }: { children: ReactNode }) {
  const session = useSession();
  const client = useQueryClient();
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = () => {
      told(api.GET("/api/v1/session")).then(signedIn, (error: unknown) => {
        if (error instanceof EngineAway) timer = setTimeout(ask, ASK_AGAIN_MS);
        else signedOut();
      });
    };
    ask();
    return () => clearTimeout(timer);
  }, []);
  switch (session.kind) {
    case "unknown":
      return <Waiting />;
    case "out":
      // Nobody reads what another has left.
      return <Login onDone={() => client.clear()} />;
    case "in":
    case "expired":
      // One shape for both, so that the page is not made anew.
      return (
        <>
          {children}
          {session.kind === "expired" && (
            <Dialog title="Your session has ended" onClose={signedOut}>
              <p>Sign in again to go on. The page behind stays as it is, with what you typed.</p>
              <LoginForm onDone={() => void client.invalidateQueries()} />
            </Dialog>
          )}
        </>
      );
  }
}

function Waiting() {
  return (
    <main className="login" aria-busy="true">
      <div className="login-card">
        <h1>
          <Logo /> Valet
        </h1>
        <p role="status">
          <span className="spinner" /> waiting for the engine…
        </p>
        <p className="hint">
          If this stays: is it running? <code>./ops/up</code> starts one on this machine.
        </p>
      </div>
    </main>
  );
}

function Login({ onDone }: { onDone: () => void }) {
  return (
    <main className="login">
      <div className="login-card">
        <h1>
          <Logo /> Valet
        </h1>
        <LoginForm onDone={onDone} />
        <p className="hint">
          <code>./ops/up</code> prints the file of its token. Somebody with the role admin makes others:{" "}
          <code>valet tokens create NAME --role operator</code>. The token is changed for a session of twelve hours, and
          kept nowhere.
        </p>
      </div>
    </main>
  );
}

function LoginForm({ onDone }: { onDone: () => void }) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    told(api.POST("/api/v1/session", { body: { token: token.trim() } }))
      .then(
        (session) => {
          onDone();
          signedIn(session);
        },
        (problem: unknown) => setError(explained(problem)),
      )
      .finally(() => setBusy(false));
  };
  return (
    <form onSubmit={submit} className="stack">
      <div className="field">
        <label htmlFor="token">Token</label>
        <input
          id="token"
          type="password"
          autoComplete="current-password"
          placeholder="vt_…"
          value={token}
          onChange={(event) => setToken(event.target.value)}
          autoFocus
          required
        />
      </div>
      <Fault error={error} />
      <Button type="submit" look="main" disabled={busy || token.trim() === ""} aria-busy={busy}>
        Sign in
      </Button>
    </form>
  );
}

/** A token that cannot even be one is told like one that is not known. */
function explained(problem: unknown): unknown {
  if (!(problem instanceof ApiError) || problem.problem.status !== 422) return problem;
  return new ApiError({ ...problem.problem, detail: "this is no token: it begins with vt_" });
}
