// Limits: what a form sends and what is wrong with it, and what their keys have, in words.
import type { components } from "../api/schema";
import { pointerPart } from "./json";
import type { Faults } from "./schema";
import { duration } from "./time";

type View = components["schemas"]["LimitView"];
type Key = components["schemas"]["LimitKeyView"];
type Put = components["schemas"]["PutLimitRequest"];
type Rate = components["schemas"]["RateView"];
export type WhenFull = components["schemas"]["WhenFull"];
export type SlotHold = components["schemas"]["SlotHold"];

/** As the engine has them. */
const FIGURE_MAX = 1_000_000;
const WEIGHT_MAX = 1_000;
const SPAN_MAX_MS = 31 * 24 * 3_600_000;
const EXPIRY_MIN_MS = 1_000;
export const KEY_BYTES_MAX = 256;
/** Keys that one answer has at most. */
export const KEYS_MAX = 1_000;

export const UNITS = [
  { name: "milliseconds", ms: 1 },
  { name: "seconds", ms: 1_000 },
  { name: "minutes", ms: 60_000 },
  { name: "hours", ms: 3_600_000 },
  { name: "days", ms: 24 * 3_600_000 },
] as const;

export interface Weight {
  share: string;
  turns: string;
}

/** What stands in the form, as it was typed. */
export interface Typed {
  name: string;
  workflow: string;
  step: string;
  key: string;
  share: string;
  weights: readonly Weight[];
  most: string;
  count: string;
  per: string;
  /** Milliseconds of its unit. */
  unit: number;
  burst: string;
  whenFull: WhenFull;
  hold: SlotHold;
  /** Seconds, as are the two below. */
  quiet: string;
  quietAtMost: string;
  expires: string;
}

export const WHEN_FULL: readonly { value: WhenFull; label: string }[] = [
  { value: "queue", label: "it waits" },
  { value: "cancel_newest", label: "it is cancelled" },
  { value: "cancel_in_progress", label: "it begins, and the oldest at work is cancelled" },
];

export const HOLDS: readonly { value: SlotHold; label: string }[] = [
  { value: "working", label: "while it is at work" },
  { value: "live", label: "until it has ended, waits included" },
];

export const NEW: Typed = {
  name: "",
  workflow: "",
  step: "",
  key: "",
  share: "",
  weights: [],
  most: "",
  count: "",
  per: "1",
  unit: 60_000,
  burst: "",
  whenFull: "queue",
  hold: "working",
  quiet: "",
  quietAtMost: "",
  expires: "",
};

/** Of a limit that is there. */
export function typedOf(view: View): Typed {
  const { rate } = view;
  const unit = rate == null ? NEW.unit : unitOf(rate.per_ms);
  return {
    name: view.name,
    workflow: view.workflow,
    step: view.step ?? "",
    key: view.key ?? "",
    share: view.share ?? "",
    weights: Object.entries(view.weights ?? {}).map(([share, turns]) => ({ share, turns: String(turns) })),
    most: view.most == null ? "" : String(view.most),
    count: rate == null ? "" : String(rate.count),
    per: rate == null ? NEW.per : String(rate.per_ms / unit),
    unit,
    // A burst of the whole rate is what holds when nothing is said.
    burst: rate?.burst == null || rate.burst === rate.count ? "" : String(rate.burst),
    whenFull: view.when_full ?? NEW.whenFull,
    hold: view.hold ?? NEW.hold,
    quiet: seconds(view.debounce?.quiet_ms),
    quietAtMost: seconds(view.debounce?.at_most_ms),
    expires: seconds(view.expires_ms),
  };
}

function seconds(ms: number | null | undefined): string {
  return ms == null ? "" : String(ms / 1_000);
}

function milliseconds(typed: string): number {
  return Math.round(Number(typed) * 1_000);
}

/** The largest unit of which a span is a whole number. */
function unitOf(ms: number): number {
  return UNITS.findLast((unit) => ms >= unit.ms && ms % unit.ms === 0)?.ms ?? 1;
}

export function requestOf(typed: Typed): Put {
  const said = (name: "step" | "key" | "share") => (typed[name].trim() === "" ? {} : { [name]: typed[name].trim() });
  const weights = typed.weights.filter(({ share }) => share.trim() !== "");
  const hasWeights = typed.share.trim() !== "" && weights.length > 0;
  return {
    workflow: typed.workflow,
    ...said("step"),
    ...said("key"),
    ...said("share"),
    ...(hasWeights
      ? { weights: Object.fromEntries(weights.map(({ share, turns }) => [share.trim(), Number(turns)])) }
      : {}),
    ...(typed.most.trim() === "" ? {} : { most: Number(typed.most) }),
    ...(typed.count.trim() === "" ? {} : { rate: rateOf(typed) }),
    ...(typed.whenFull === NEW.whenFull ? {} : { when_full: typed.whenFull }),
    ...(typed.hold === NEW.hold ? {} : { hold: typed.hold }),
    ...(typed.quiet.trim() === ""
      ? {}
      : {
          debounce: {
            quiet_ms: milliseconds(typed.quiet),
            ...(typed.quietAtMost.trim() === "" ? {} : { at_most_ms: milliseconds(typed.quietAtMost) }),
          },
        }),
    ...(typed.expires.trim() === "" ? {} : { expires_ms: milliseconds(typed.expires) }),
  };
}

function rateOf({ count, per, unit, burst }: Typed): Rate {
  const whole = { count: Number(count), per_ms: Math.round(Number(per) * unit) };
  return burst.trim() === "" ? whole : { ...whole, burst: Number(burst) };
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

/** What is missing is told once somebody wants to send it; everything else as it is typed. */
export function faultsOf(typed: Typed, sending: boolean): Faults {
  const found: Faults = {};
  const add = (place: string, fault: string) => void (found[place] ??= fault);
  const missing = (place: string, text: string, fault = "this is missing") => {
    if (sending && text.trim() === "") add(place, fault);
  };
  missing("name", typed.name);
  if (typed.name.trim() !== "" && !NAME.test(typed.name.trim()))
    add("name", "1 to 128 characters: a-z, A-Z, 0-9, `.`, `_` and `-`, the first a letter or digit");
  missing("/workflow", typed.workflow);
  const figure = (place: string, text: string) => {
    if (text.trim() !== "" && !isWhole(text, FIGURE_MAX))
      add(place, `1 to ${FIGURE_MAX.toLocaleString()}; to let nothing begin, pause the workflow or cool the key down`);
  };
  figure("/most", typed.most);
  figure("/rate/count", typed.count);
  if (typed.count.trim() !== "") {
    figure("/rate/burst", typed.burst);
    const ms = Number(typed.per) * typed.unit;
    if (!(ms >= 1 && ms <= SPAN_MAX_MS)) add("/rate/per_ms", "1 ms to 31 days");
    if (typed.step.trim() === "") add("/rate/count", "a rate is of a step: name one above");
  } else if (typed.burst.trim() !== "") {
    add("/rate/count", "at once of how many?");
  }
  const span = (place: string, text: string, least: number) => {
    if (text.trim() === "") return;
    const ms = milliseconds(text);
    if (!(ms >= least && ms <= SPAN_MAX_MS)) add(place, `${duration(least)} to 31 days`);
  };
  span("/debounce/quiet_ms", typed.quiet, 1);
  if (typed.quiet.trim() !== "") span("/debounce/at_most_ms", typed.quietAtMost, milliseconds(typed.quiet));
  else if (typed.quietAtMost.trim() !== "") add("/debounce/quiet_ms", "after how long without another?");
  span("/expires_ms", typed.expires, EXPIRY_MIN_MS);
  const ofRuns = [
    { place: "/when_full", isSaid: typed.whenFull !== NEW.whenFull, needsMost: true },
    { place: "/hold", isSaid: typed.hold !== NEW.hold, needsMost: true },
    { place: "/debounce/quiet_ms", isSaid: typed.quiet.trim() !== "", needsMost: false },
    { place: "/expires_ms", isSaid: typed.expires.trim() !== "", needsMost: false },
  ];
  for (const { place, needsMost } of ofRuns.filter(({ isSaid }) => isSaid)) {
    if (typed.step.trim() !== "" && place !== "/when_full") add(place, "of whole runs only: this limit is of a step");
    else if (needsMost && typed.most.trim() === "") add(place, "say above how many may be at work at once");
  }
  if (typed.count.trim() === "" && typed.quiet.trim() === "")
    missing("/most", typed.most, "say how many may be at work at once, or below how many may begin");
  typed.weights.forEach(({ share, turns }, index) => {
    const name = share.trim();
    if (name === "") return;
    if (!isWhole(turns, WEIGHT_MAX)) add(placeOf(share), `1 to ${WEIGHT_MAX.toLocaleString()}`);
    if (typed.weights.findIndex((one) => one.share.trim() === name) !== index)
      add(placeOf(share), "this share stands above already");
  });
  return found;
}

/** Where a weight stands in the request. */
export function placeOf(share: string): string {
  return `/weights/${pointerPart(share.trim())}`;
}

function isWhole(text: string, most: number): boolean {
  return /^\s*\d+\s*$/.test(text) && Number(text) >= 1 && Number(text) <= most;
}

/** `10 in 1 min, 3 at once`. */
export function rateWords({ count, per_ms, burst }: Rate): string {
  const rate = `${count.toLocaleString()} in ${duration(per_ms)}`;
  return burst == null || burst === count ? rate : `${rate}, ${burst.toLocaleString()} at once`;
}

/** What a limit of runs says besides, in words. */
export function runWords({ when_full, hold, debounce, expires_ms }: View): string[] {
  return [
    when_full == null || when_full === "queue"
      ? ""
      : `full: ${WHEN_FULL.find(({ value }) => value === when_full)?.label ?? when_full}`,
    hold === "live" ? "slots until runs have ended" : "",
    debounce == null ? "" : `begins ${duration(debounce.quiet_ms)} after the last`,
    expires_ms == null ? "" : `waits ${duration(expires_ms)} at most`,
  ].filter((part) => part !== "");
}

export type Standing = "cooled" | "full" | "rate" | "free";

/** What keeps the next of a key from beginning, what a person did first. */
export function standingOf(key: Key, now: number): Standing {
  const isAhead = (at: string | null | undefined) => at != null && Date.parse(at) > now;
  if (isAhead(key.cooled_until)) return "cooled";
  if (key.most != null && key.running >= key.most) return "full";
  return isAhead(key.next_token_at) ? "rate" : "free";
}

export interface Load {
  running: number;
  waiting: number;
  oldest: string | undefined;
  cooled: number;
  /** There are more keys than the answer has. */
  isPart: boolean;
}

/** What the keys of a limit have together. */
export function loadOf(keys: readonly Key[], now: number): Load {
  const sum = (of: (key: Key) => number) => keys.reduce((all, key) => all + of(key), 0);
  return {
    running: sum(({ running }) => running),
    waiting: sum(({ waiting }) => waiting),
    oldest: keys.flatMap(({ oldest }) => oldest ?? []).sort((a, b) => Date.parse(a) - Date.parse(b))[0],
    cooled: keys.filter((key) => standingOf(key, now) === "cooled").length,
    isPart: keys.length >= KEYS_MAX,
  };
}

/** What is wrong with leaving a key alone until an instant. */
export function coolFaults(key: string, until: string | undefined, now: number): Faults {
  const found: Faults = {};
  if (new TextEncoder().encode(key).length > KEY_BYTES_MAX) found["/key"] = `a key has at most ${KEY_BYTES_MAX} bytes`;
  if (until === undefined) found["/until"] = "say until when";
  else if (Date.parse(until) <= now) found["/until"] = "this is over already";
  else if (Date.parse(until) > now + SPAN_MAX_MS) found["/until"] = "at most 31 days ahead; cool it down again then";
  return found;
}
