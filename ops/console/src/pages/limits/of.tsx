// Of what a limit is.
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../../api/client";

export function Of({ limit: { workflow, step } }: { limit: Schemas["LimitView"] }) {
  return (
    <span className="clip">
      {step == null ? "runs of " : `${step} of `}
      <Link to="/workflows/$name" params={{ name: workflow }} className="within">
        {workflow}
      </Link>
    </span>
  );
}
