import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createApp } from "./app.js";
import { version } from "./version.js";

const app = createApp();
let url = "";

beforeEach(async () => {
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${String((app.address() as AddressInfo).port)}`;
});

afterEach(async () => {
  await new Promise((resolve) => app.close(resolve));
});

test("GET /health answers with the version", async () => {
  const response = await fetch(`${url}/health`);
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ status: "ok", version });
});

test("an unknown path is not found", async () => {
  expect((await fetch(`${url}/nothing`)).status).toBe(404);
});
