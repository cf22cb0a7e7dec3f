// Every request of the console: typed by the OpenAPI document, by cookie, with the session's word against forgery.
import createClient from "openapi-fetch";
import { heard, lost } from "./connection";
import type { components, paths } from "./schema";
import { csrf, expired } from "./session";

export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

/** An answer that is no success, in the engine's own words. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Nobody answered, or only something in front of the engine. */
export class EngineAway extends Error {
  override readonly name = "EngineAway";

  constructor() {
    super("the engine does not answer; it is asked again until it does");
  }
}

export const api = createClient<paths>({ credentials: "same-origin", fetch: send });

async function send(request: Request): Promise<Response> {
  if (request.method !== "GET") {
    const word = csrf();
    if (word !== undefined) request.headers.set("X-Valet-Csrf", word);
  }
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    lost();
    throw new EngineAway();
  }
  if (response.status >= 502 && !isProblem(response)) {
    lost();
    throw new EngineAway();
  }
  heard();
  if (response.status === 401) expired();
  return response;
}

function isProblem(response: Response): boolean {
  return response.headers.get("content-type")?.includes("json") ?? false;
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** What a request came to; what is no success is thrown. */
export async function told<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (response.ok) return data as T;
  throw new ApiError(asProblem(error, response.status));
}

function asProblem(error: unknown, status: number): Problem {
  if (typeof error === "object" && error !== null && "code" in error && "detail" in error) return error as Problem;
  return { code: "unknown", status, title: "Error", detail: `the engine answered ${status} without a reason` };
}

/** A key under which the engine does something once, however often it is asked. */
export function newKey(): string {
  // `randomUUID` is only there where the console comes by TLS or from this machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export async function uploadFile(file: File, subject: string): Promise<Schemas["FileStored"]> {
  const form = new FormData();
  form.append("file", file);
  form.append("subject", subject);
  return told(api.POST("/api/v1/files", { body: form as never, bodySerializer: (body) => body as never }));
}

export function fileUrl(id: string): string {
  return `/api/v1/files/${encodeURIComponent(id)}`;
}
