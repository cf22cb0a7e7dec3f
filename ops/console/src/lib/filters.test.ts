import { describe, expect, it } from "vitest";
import { attributeOf, filterCommand, LIVE, readFilter, readStatuses, toggleStatuses, writeStatuses } from "./filters";

describe("filters and their URL", () => {
  it("a URL is read into the filter that writes it", () => {
    const filter = { status: "waiting,failed", workflow: "orders", subject: "ada" };
    expect(readFilter({ ...filter })).toEqual(filter);
  });

  it("attributes, errors, parents and times are read too", () => {
    const filter = {
      attributes: '{"site":"acme","tries":3}',
      error_code: "no_form",
      parent: "run_1",
      created_from: "2026-11-21T08:00:00.000Z",
    };
    expect(readFilter({ ...filter })).toEqual(filter);
    expect(readFilter({ attributes: { site: "acme", tries: 3 } })).toEqual({ attributes: filter.attributes });
    expect(readFilter({ attributes: "site", created_from: "yesterday" })).toEqual({});
    expect(readFilter({ attributes: { deep: {} } })).toEqual({});
    expect(filterCommand(filter)).toBe(
      "valet runs --attribute site=acme --attribute tries=3 --error-code no_form --parent run_1 --since 2026-11-21T08:00:00.000Z",
    );
  });

  it("an attribute is written as the command line takes it", () => {
    expect(attributeOf("site=acme=1")).toEqual(["site", "acme=1"]);
    expect(attributeOf("tries=3")).toEqual(["tries", 3]);
    expect(attributeOf("direct=true")).toEqual(["direct", true]);
    expect(attributeOf("id=007")).toEqual(["id", "007"]);
    expect(attributeOf("ada")).toBeUndefined();
    expect(attributeOf("=x")).toBeUndefined();
  });

  it("what is no filter is left out", () => {
    expect(readFilter({ status: "asleep", workflow: "", subject: "  ", page: 3, cursor: "x" })).toEqual({});
    expect(readFilter({ status: "failed, asleep ,queued" })).toEqual({ status: "queued,failed" });
  });

  it("a subject that looks like a number stays a text", () => {
    expect(readFilter({ subject: 42 })).toEqual({ subject: "42" });
  });

  it("the same choice is the same URL, whatever the order", () => {
    expect(writeStatuses(["failed", "queued"])).toBe(writeStatuses(["queued", "failed"]));
    expect(writeStatuses([])).toBeUndefined();
    expect(readStatuses("timed_out,queued")).toEqual(["queued", "timed_out"]);
  });

  it("a group goes on as a whole and off as a whole", () => {
    const on = toggleStatuses({ workflow: "bench", status: "waiting" }, LIVE);
    expect(on).toEqual({ workflow: "bench", status: LIVE.join(",") });
    expect(toggleStatuses(on, LIVE)).toEqual({ workflow: "bench" });
  });

  it("the command line gets words that a shell leaves whole", () => {
    expect(filterCommand({ subject: "o'neil & co", status: "failed" })).toBe(
      `valet runs --status failed --subject 'o'\\''neil & co'`,
    );
  });
});
