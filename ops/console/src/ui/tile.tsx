// One figure among the first of a page.
import type { ReactNode } from "react";

interface TileProps {
  name: string;
  tone: "none" | "good" | "warn" | "bad";
  children: ReactNode;
}

export function Tile({ name, tone, children }: TileProps) {
  return (
    <li className={`tile ${tone}`}>
      <span className="tile-name">{name}</span>
      <span className="tile-value">{children}</span>
    </li>
  );
}
