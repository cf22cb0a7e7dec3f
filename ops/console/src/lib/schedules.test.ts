import { describe, expect, it } from "vitest";
import { instantOf, localInput, NEW, requestOf, typedOf, zoned } from "./schedules";

const run = { input: { question: "?" } };

describe("a schedule's form", () => {
  it("asks for nothing before it has a workflow and a time", () => {
    expect(requestOf(NEW, run)).toBeUndefined();
    expect(requestOf({ ...NEW, workflow: "asks", cron: " " }, run)).toBeUndefined();
    expect(requestOf({ ...NEW, workflow: "asks", when: "at" }, run)).toBeUndefined();
  });

  it("sends either a cron with its zone or one instant", () => {
    const cron = requestOf({ ...NEW, workflow: "asks", zone: "Europe/Berlin", catchUp: "90" }, run);
    const common = { workflow: "asks", overlap: "skip", run };
    expect(cron).toEqual({ ...common, cron: "30 9 * * MON-FRI", zone: "Europe/Berlin", catch_up_seconds: 90 });
    const once = requestOf({ ...NEW, workflow: "asks", when: "at", at: "2027-01-01T08:30" }, run);
    expect(once).toEqual({ ...common, at: new Date("2027-01-01T08:30").toISOString() });
  });

  it("begins with what is there, so that it changes nothing unasked", () => {
    const view = { name: "daily", workflow: "asks", subject: "default", zone: "Europe/Berlin", cron: "0 8 * * *" };
    const typed = typedOf({ ...view, overlap: "queue", catch_up_seconds: 60, paused: false, next: [], run });
    const sent = {
      workflow: "asks",
      cron: "0 8 * * *",
      zone: "Europe/Berlin",
      overlap: "queue",
      catch_up_seconds: 60,
      run,
    };
    expect(requestOf(typed, run)).toEqual(sent);
  });

  it("reads and writes local times", () => {
    expect(instantOf(localInput("2026-11-22T12:34:00.000Z"))).toBe("2026-11-22T12:34:00.000Z");
    expect(instantOf("soon")).toBeUndefined();
  });
});

describe("an instant as clocks in its zone show it", () => {
  it.each([
    ["2026-11-23T09:30:00+01:00", "Mon 2026-11-23 09:30 +01:00"],
    ["2026-11-22T21:50:10Z", "Sun 2026-11-22 21:50:10 UTC"],
    ["nonsense", "nonsense"],
  ])("%s", (at, expected) => expect(zoned(at)).toBe(expected));

  it("with seconds beside others that have some", () => {
    expect(zoned("2026-11-22T21:50:00Z", true)).toBe("Sun 2026-11-22 21:50:00 UTC");
  });
});
