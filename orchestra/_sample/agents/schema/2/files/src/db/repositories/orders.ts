import type { Database } from "../database.js";
import type { NewOrder, Order } from "../tables.js";

export class OrderRepository {
  constructor(
    private readonly db: Database,
    private readonly newId: () => string,
  ) {}

  async find(id: string): Promise<Order | null> {
    const rows = await this.db.query<Order>("SELECT * FROM orders WHERE id = $1 AND deleted_at IS NULL", [id]);
    return rows[0] ?? null;
  }

  async create(input: NewOrder): Promise<Order> {
    return this.db.transaction(async (inside) => {
      let total = 0;
      for (const item of input.items) {
        const taken = await inside.query<{ price_cents: number }>(
          "UPDATE products SET stock = stock - $2 WHERE id = $1 AND stock >= $2 RETURNING price_cents",
          [item.productId, item.quantity],
        );
        const product = taken[0];
        if (product === undefined) throw Object.assign(new Error("out of stock"), { code: "out-of-stock" });
        total += product.price_cents * item.quantity;
      }
      const order: Order = {
        id: this.newId(),
        customerId: input.customerId,
        status: "draft",
        totalCents: total,
        version: 1,
      };
      await inside.query("INSERT INTO orders (id, customer_id, status, total_cents) VALUES ($1, $2, $3, $4)", [
        order.id,
        order.customerId,
        order.status,
        order.totalCents,
      ]);
      return order;
    });
  }
}
