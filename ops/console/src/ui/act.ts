// Something that a person does: once at a time, with what it came to.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { sentence } from "./basics";
import { toast } from "./toast";

interface Act<T> {
  run: (input: T) => Promise<unknown>;
  /** What is told when it is done. */
  done?: string | ((input: T) => string);
  /** What is told when it failed as well; without it the caller shows the error where it belongs. */
  tellFailure?: boolean;
  after?: (result: unknown) => void;
}

/** After it everything on the page is read anew. */
export function useAct<T = void>({ run, done, tellFailure = false, after }: Act<T>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: (result, input) => {
      if (done !== undefined) toast(typeof done === "string" ? done : done(input));
      void client.invalidateQueries();
      after?.(result);
    },
    onError: (error) => {
      if (tellFailure) toast(sentence(error), true);
    },
  });
}
