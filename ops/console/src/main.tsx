import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { whenBack } from "./api/connection";
import { SessionGate } from "./pages/session-gate";
import { router } from "./router";
import "./style.css";

/** A part of the engine that is away may be back soon; everything else is answered once. */
function isPassing(error: unknown): boolean {
  return error instanceof ApiError && [429, 503].includes(error.problem.status);
}

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => isPassing(error) && count < 3,
      refetchOnWindowFocus: true,
      // Whether there is a network says nothing about the engine, which may be on this machine.
      networkMode: "always",
      staleTime: 1_000,
    },
    mutations: { networkMode: "always" },
  },
});
whenBack(() => void queries.invalidateQueries());

const root = document.getElementById("root");
if (root === null) throw new Error("the page has no root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <SessionGate>
        <RouterProvider router={router} />
      </SessionGate>
    </QueryClientProvider>
  </StrictMode>,
);
