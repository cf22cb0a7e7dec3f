// How long there is until a deadline.
import { duration, exact } from "../lib/time";
import { useNow } from "./now";

/** Below this share of its time a deadline is near. */
const NEAR = 0.2;

export function Deadline({ at, from }: { at: string; from: string }) {
  const now = useNow();
  const left = Date.parse(at) - now;
  const whole = Math.max(1, Date.parse(at) - Date.parse(from));
  const tone = left <= 0 ? "over" : left / whole < NEAR ? "near" : "";
  return (
    <time className={`deadline ${tone}`} dateTime={at} title={`until ${exact(at)}`}>
      {left <= 0 ? "over" : duration(left)}
    </time>
  );
}
