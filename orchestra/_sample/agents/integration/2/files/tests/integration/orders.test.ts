import type { Client } from "../support/client.js";

export async function ordersCanBePlaced(client: Client, customerId: string): Promise<void> {
  const created = await client.post("/v1/orders", { customerId, items: [] });
  const order = created.body as { id: string; version: number };
  await client.patch(`/v1/orders/${order.id}`, { status: "placed" }, order.version);
  await client.get(`/v1/orders/${order.id}`);
}

export async function ordersCanBeCancelled(client: Client, orderId: string): Promise<void> {
  await client.post(`/v1/orders/${orderId}/cancel`);
  await client.get(`/v1/orders/${orderId}`);
}
