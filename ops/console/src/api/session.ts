// Who is signed in. The token is changed for a cookie that no script sees; what stays here is the session's word.
import type { components } from "./schema";
import { createStore, useStore } from "./store";

type Session = components["schemas"]["ConsoleSession"];
export type Scope = "trigger" | "read" | "operate" | "answer" | "admin";

export type SessionState =
  | { kind: "unknown" }
  | { kind: "out" }
  /** It ended while somebody worked: the page stays, with what was typed. */
  | { kind: "expired"; session: Session }
  | { kind: "in"; session: Session };

const state = createStore<SessionState>({ kind: "unknown" });

export function csrf(): string | undefined {
  const now = state.get();
  return now.kind === "in" ? now.session.csrf : undefined;
}

export function expired(): void {
  const now = state.get();
  if (now.kind === "in") state.set({ kind: "expired", session: now.session });
}

export function signedIn(session: Session): void {
  state.set({ kind: "in", session });
}

export function signedOut(): void {
  state.set({ kind: "out" });
}

export function useSession(): SessionState {
  return useStore(state);
}

/** Whoever is signed in; pages are only shown to somebody. */
export function useWho(): Session {
  const now = useSession();
  if (now.kind !== "in" && now.kind !== "expired") throw new Error("nobody is signed in");
  return now.session;
}

/** What is not allowed is not offered; the engine decides all the same. */
export function useMay(): (...scopes: Scope[]) => boolean {
  const held = useWho().scopes;
  return (...scopes) => scopes.some((scope) => held.includes(scope));
}
