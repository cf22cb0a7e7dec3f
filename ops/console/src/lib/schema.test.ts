import { describe, expect, it } from "vitest";
import { cleaned, faults, faultsOf, faultsOfProblem, field, initial, label, resolve } from "./schema";

const ADDRESS = {
  $defs: {
    Address: { type: "object", properties: { city: { type: ["string", "null"], default: null } } },
    Mode: { enum: ["auto", "review"], type: "string" },
  },
  type: "object",
  required: ["name", "profile"],
  additionalProperties: false,
  properties: {
    name: { type: "string", minLength: 1 },
    mode: { $ref: "#/$defs/Mode", default: "auto" },
    address: { anyOf: [{ $ref: "#/$defs/Address" }, { type: "null" }] },
    profile: {
      type: "object",
      required: ["email"],
      properties: { email: { type: "string", pattern: "^[^@]+@[^@]+$" }, years: { type: "integer", minimum: 0 } },
    },
    tags: { type: "array", items: { type: "string" }, maxItems: 2 },
  },
};

describe("what is shown for a schema", () => {
  it("follows references, and what stands beside one goes first", () => {
    const { schema } = resolve({ $ref: "#/$defs/Mode", description: "how" }, ADDRESS);
    expect(schema).toEqual({ enum: ["auto", "review"], type: "string", description: "how" });
  });

  it("a reference into itself ends", () => {
    const knot = { $defs: { a: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" };
    expect(field(knot, knot).kind).toBe("json");
  });

  it("null beside one other kind makes that nullable", () => {
    expect(field({ anyOf: [{ $ref: "#/$defs/Address" }, { type: "null" }] }, ADDRESS)).toMatchObject({
      kind: "object",
      nullable: true,
    });
    expect(field({ type: ["boolean", "null"] }, {})).toMatchObject({ kind: "boolean", nullable: true });
  });

  it.each([
    [{ type: "string" }, "text"],
    [{ type: "string", "x-multiline": true }, "long"],
    [{ type: "string", format: "password" }, "secret"],
    [{ type: "string", pattern: "^file_[0-9a-f]{32}$" }, "file"],
    [{ enum: ["Yes", "No"] }, "choice"],
    [{ type: "integer" }, "number"],
    [{ type: "object", additionalProperties: { type: "string" } }, "map"],
    [{ type: "object" }, "json"],
    [{ anyOf: [{ type: "string" }, { type: "number" }] }, "json"],
    [true, "json"],
  ])("%j is drawn as %s", (schema, kind) => expect(field(schema, {}).kind).toBe(kind));

  it("a field is called by its title, else by its name in words", () => {
    expect([label("q1", { title: "Why us?" }), label("job_url", {}), label("maxCost", {})]).toEqual([
      "Why us?",
      "Job url",
      "Max Cost",
    ]);
  });
});

describe("what a form begins with and sends", () => {
  it("begins with defaults and the shape of what must be there", () => {
    expect(initial(ADDRESS, ADDRESS)).toEqual({ mode: "auto", profile: {}, tags: [] });
  });

  it("sends nothing for what was left empty", () => {
    expect(cleaned({ a: "", b: undefined, c: 0, d: false, e: null, f: { g: "" }, h: [""] })).toEqual({
      c: 0,
      d: false,
      e: null,
      f: {},
      h: [""],
    });
  });
});

describe("what is wrong with a value", () => {
  it("names the places", () => {
    const found = faults(ADDRESS, { name: "", profile: { years: -1 }, tags: ["a", "b", "c"], other: 1 });
    expect(Object.keys(found).sort()).toEqual(["/name", "/other", "/profile/email", "/profile/years", "/tags"]);
    expect(found["/profile/email"]).toBe("this is missing");
    expect(found["/other"]).toBe("there is no such field");
  });

  it("finds nothing in what fits", () => {
    expect(faults(ADDRESS, { name: "Ada", profile: { email: "ada@example.com" }, address: null })).toEqual({});
  });

  it("puts the engine's faults at the same places", () => {
    const errors = [
      { field: "/input/profile/email", message: "no" },
      { field: "/subject", message: "too long" },
    ];
    expect(faultsOf(errors, "/input")).toEqual({ "/profile/email": "no", "/subject": "too long" });
  });

  it("puts a fault that stands alone at its place too", () => {
    const detail = "no file of this subject";
    expect(faultsOfProblem({ field: "/value/file", detail, errors: [] }, "/value")).toEqual({ "/file": detail });
    const errors = [{ field: "/key", message: "this is no CEL" }];
    expect(faultsOfProblem({ field: "/key", detail, errors })).toEqual({ "/key": "this is no CEL" });
    expect(faultsOfProblem({ detail })).toEqual({});
  });
});
