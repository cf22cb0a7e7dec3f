import { describe, expect, it } from "vitest";
import { between, duration, relative } from "./time";

describe("durations", () => {
  it.each([
    [-5, "0 ms"],
    [67, "67 ms"],
    [999.6, "999 ms"],
    [1_449, "1.4 s"],
    [9_999, "9.9 s"],
    [34_900, "34 s"],
    [59_999, "59 s"],
    [60_000, "1 min"],
    [125_000, "2 min 5 s"],
    [11_520_000, "3 h 12 min"],
    [353_000_000, "4 d 2 h"],
  ])("%d ms is %s", (ms, words) => expect(duration(ms)).toBe(words));

  it("an instant is told by its largest unit, both ways", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    expect(relative("2026-11-22T11:59:27Z", now)).toBe("33 s ago");
    expect(relative("2026-11-22T15:59:59Z", now)).toBe("in 3 h");
    expect(relative("2026-11-22T12:00:00.4Z", now)).toBe("now");
  });

  it("a clock that is behind makes nothing negative", () => {
    expect(between("2026-11-22T12:00:10Z", undefined, Date.parse("2026-11-22T12:00:00Z"))).toBe(0);
  });
});
