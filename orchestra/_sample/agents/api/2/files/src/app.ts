import { requireRole } from "./auth/index.js";
import { OrderRepository, pingDatabase, type Database } from "./db/index.js";
import { readiness, type Readiness } from "./health/index.js";
import { RequestCounter } from "./telemetry/index.js";
import { version } from "./version.js";

export interface App {
  readonly version: string;
  readonly orders: OrderRepository;
  readonly requests: RequestCounter;
  readonly mayWriteOrders: ReturnType<typeof requireRole>;
  ready(): Promise<Readiness>;
}

export function createApp(deps: { db: Database; newId: () => string }): App {
  return {
    version,
    orders: new OrderRepository(deps.db, deps.newId),
    requests: new RequestCounter(),
    mayWriteOrders: requireRole("admin", "staff"),
    ready: () => readiness({ postgres: () => pingDatabase(deps.db) }),
  };
}
