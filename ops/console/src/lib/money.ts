// Millionths of a US dollar, and the words for them.

const MICROS = 1_000_000;

/** `$0.0042`, `$1.50`. */
export function dollars(micros: number): string {
  const amount = micros / MICROS;
  const digits = amount !== 0 && Math.abs(amount) < 0.1 ? 4 : 2;
  return `$${amount.toFixed(digits)}`;
}

/** What somebody typed, in millionths; `undefined` if it is no amount. */
export function readDollars(text: string): number | undefined {
  const plain = text.trim().replace(/^\$/, "");
  if (!/^\d{1,9}(\.\d{1,6})?$/.test(plain)) return undefined;
  return Math.round(Number(plain) * MICROS);
}
