export { closeDatabase, pingDatabase, type Database } from "./database.js";
export { OrderRepository } from "./repositories/orders.js";
export type { NewOrder, Order, OrderStatus } from "./tables.js";
