import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{src,tests,db,packages,services}/**/*.test.ts"],
    coverage: { include: ["{src,packages,services}/**/*.ts"] },
  },
});
