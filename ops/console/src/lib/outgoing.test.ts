import { expect, it } from "vitest";
import { answerWords, faultsOf, kindsOf, NEW, requestOf, typedOf } from "./outgoing";

const WAS = {
  name: "crm",
  origin: "https://crm.example.com",
  kinds: ["human_task.*", "run.failed", "order:paid"],
  filter: "kind != 'run.started'",
  paused: true,
  created_at: "2026-11-23T05:00:00Z",
  created_by: "ada",
};

it("kinds without a box are kept as they were typed", () => {
  const typed = typedOf(WAS);
  expect([...typed.kinds]).toEqual(["run.failed"]);
  expect(typed.others).toBe("human_task.*, order:paid");
  expect(kindsOf({ ...typed, others: "order:paid, , run.failed" })).toEqual(["run.failed", "order:paid"]);
});

it("the engine makes the first secret; later ones are made here, given or kept", () => {
  const typed = { ...typedOf(WAS), url: " https://crm.example.com/in " };
  const secrets = (from: "kept" | "made" | "given", was: typeof WAS | undefined) =>
    requestOf({ ...typed, secretFrom: from, secrets: "whsec_AAAA\n" }, was, "made here").secrets;
  expect(secrets("made", undefined)).toBeUndefined();
  expect(secrets("made", WAS)).toEqual(["made here"]);
  expect(secrets("given", WAS)).toEqual(["whsec_AAAA"]);
  expect(secrets("kept", WAS)).toBeUndefined();
  expect(requestOf(typed, WAS, "")).toEqual({
    url: "https://crm.example.com/in",
    kinds: ["run.failed", "human_task.*", "order:paid"],
    filter: "kind != 'run.started'",
    paused: true,
  });
});

it("what is missing is said", () => {
  expect(Object.keys(faultsOf({ ...NEW, kinds: new Set(), secretFrom: "given" }, undefined))).toEqual([
    "name",
    "/url",
    "/kinds",
    "/secrets",
  ]);
  expect(faultsOf({ ...NEW, name: "crm", url: "https://crm.example.com" }, undefined)).toEqual({});
  expect(faultsOf(typedOf(WAS), WAS)).toEqual({});
  expect(requestOf(typedOf(WAS), WAS, "").url).toBeUndefined();
});

it("what became of a message is said", () => {
  const of = (rest: object) =>
    answerWords({ id: "m", kind: "k", run: "r", at: "", state: "waiting", attempts: 1, ...rest });
  expect(of({ status: 500, error: "it answered 500" })).toBe("it answered 500");
  expect(of({ status: 204 })).toBe("It answered 204.");
  expect(of({ attempts: 0 })).toBe("Not tried yet.");
});
