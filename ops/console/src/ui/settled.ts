// A value once it has not changed for a while: what somebody types, before it is asked about.
import { useEffect, useState } from "react";

const SETTLED_MS = 400;

export function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
