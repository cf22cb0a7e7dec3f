import { expect, it } from "vitest";
import { dollars, readDollars } from "./money";

it("small amounts keep their digits", () => {
  expect([0, 4_200, 100_000, 1_500_000].map(dollars)).toEqual(["$0.00", "$0.0042", "$0.10", "$1.50"]);
});

it("what is no amount is not read as one", () => {
  expect(["2.50", "$3", " 0.000001 "].map(readDollars)).toEqual([2_500_000, 3_000_000, 1]);
  expect(["", "-1", "1e3", "1,5", "0.0000001", "ten"].map(readDollars)).toEqual(Array(6).fill(undefined));
});
