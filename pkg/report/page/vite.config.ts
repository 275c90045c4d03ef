import { defineConfig } from "vite";

// The output is one script and one style sheet with fixed names. The Go program
// puts them into a page, with their hashes in its policy.
export default defineConfig({
  build: {
    outDir: "built",
    emptyOutDir: true, // also if it is elsewhere, as in make test-browser
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: false,
    lib: { entry: "src/main.ts", formats: ["iife"], name: "report", fileName: () => "page.js", cssFileName: "page" },
  },
});
