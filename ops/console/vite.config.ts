import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` shows the console of this engine.
const engine = process.env.VALET_URL ?? "http://127.0.0.1:7300";

export default defineConfig({
  base: "/console/",
  plugins: [react()],
  server: { port: 7373, proxy: { "/api": engine, "/readyz": engine } },
  build: {
    outDir: "bundle/app",
    emptyOutDir: true,
    manifest: true,
    // The content security policy lets nothing inline through.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
