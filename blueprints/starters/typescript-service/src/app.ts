import { createServer, type Server } from "node:http";
import { version } from "./version.js";

/** Create the service without listening. GET /health answers while the process runs. */
export function createApp(): Server {
  return createServer((request, response) => {
    const isHealth = request.method === "GET" && request.url === "/health";
    response.writeHead(isHealth ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(isHealth ? { status: "ok", version } : { code: "not-found" }));
  });
}
