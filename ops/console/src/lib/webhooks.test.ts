import { describe, expect, it } from "vitest";
import {
  asPut,
  faultsOf,
  makesWords,
  NEW,
  newSecret,
  PROOFS,
  refusalWords,
  requestOf,
  typedOf,
  withKind,
} from "./webhooks";

const VIEW = {
  name: "shop",
  path: "/api/v1/hooks/main/shop",
  proof: { kind: "stripe", tolerance_seconds: 60 },
  start: { workflow: "orders", run: { input: { $cel: "payload.data" } } },
  filter: "payload.live",
  paused: true,
  created_at: "2026-11-23T05:00:00Z",
  created_by: "ada",
} as never;

describe("the form of an incoming webhook", () => {
  it("asks for what the kind of proof has, and for nothing else", () => {
    const all = {
      ...NEW,
      header: "X-Mine",
      user: "ada",
      tolerance: "60",
      secretFrom: "kept" as const,
      workflow: "asks",
    };
    const proofs = PROOFS.map(({ kind }) => requestOf({ ...all, kind }, "", false).proof);
    expect(proofs).toEqual([
      { kind: "github", header: "X-Mine" },
      { kind: "stripe", header: "X-Mine", tolerance_seconds: 60 },
      { kind: "slack", tolerance_seconds: 60 },
      { kind: "standard", tolerance_seconds: 60 },
      { kind: "api_key", header: "X-Mine" },
      { kind: "basic", user: "ada" },
    ]);
  });

  it("sends a secret that is made here, or those that are given, or none to keep what is there", () => {
    const of = (secretFrom: "kept" | "made" | "given") =>
      requestOf({ ...NEW, secretFrom, secrets: " old \n\nnew\n" }, "made here", false).proof.secrets;
    expect([of("kept"), of("made"), of("given")]).toEqual([undefined, ["made here"], ["old", "new"]]);
    expect(withKind(NEW, "stripe").secretFrom).toBe("given");
    expect(withKind(typedOf(VIEW), "github").secretFrom).toBe("kept");
  });

  it("makes either a run or an event", () => {
    const typed = { ...NEW, workflow: "asks", filter: " payload.live ", deliveryId: "payload.id" };
    expect(requestOf(typed, "s", false)).toMatchObject({
      start: { workflow: "asks" },
      filter: "payload.live",
      delivery_id: "payload.id",
    });
    const event = requestOf({ ...typed, target: "publish" }, "s", true);
    expect(event).toMatchObject({ publish: { key: { $cel: "payload.type" } }, paused: true });
    expect(event.start).toBeUndefined();
  });

  it("comes back as it was put", () => {
    const { name: _, ...rest } = typedOf(VIEW);
    expect(requestOf({ ...rest, name: "" }, "", true)).toEqual(asPut(VIEW));
  });

  it("says what is missing once it is sent, and what is wrong at once", () => {
    expect(faultsOf(NEW, false)).toEqual({});
    expect(Object.keys(faultsOf({ ...NEW, kind: "basic", secretFrom: "given" }, true))).toEqual([
      "name",
      "/proof/secrets",
      "/proof/user",
      "/start/workflow",
    ]);
    expect(Object.keys(faultsOf({ ...NEW, kind: "slack", tolerance: "5m", run: "{" }, false))).toEqual([
      "/proof/tolerance_seconds",
      "/start/run",
    ]);
    expect(Object.keys(faultsOf({ ...NEW, target: "publish", event: "{" }, false))).toEqual(["/publish"]);
  });
});

describe("words of webhooks", () => {
  it("say what a delivery makes", () => {
    expect(makesWords(VIEW)).toBe("a run of orders");
    const event = (publish: unknown) => makesWords({ ...(VIEW as object), start: null, publish } as never);
    expect(event({ key: "order:paid" })).toBe("the event order:paid");
    expect(event({ key: { $cel: "payload.type" } })).toBe("an event by payload.type");
  });

  it("say why a delivery was refused, and where", () => {
    expect(refusalWords("wrong_signature")).toContain("another secret");
    expect(refusalWords("expression_failed at /start/run/input")).toContain("/start/run/input");
    expect(refusalWords("invalid_input at /start/run/input/question")).toContain("/start/run/input/question");
    expect(refusalWords("too_large")).toContain("did not take");
  });
});

it("makes secrets that senders take, and no two alike", () => {
  expect(newSecret("github")).toMatch(/^[0-9a-f]{64}$/);
  expect(newSecret("standard")).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(newSecret("github")).not.toBe(newSecret("github"));
});
