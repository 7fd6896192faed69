export type OrderStatus = "draft" | "placed" | "paid" | "shipped" | "cancelled";

export interface Order {
  readonly id: string;
  readonly customerId: string;
  readonly status: OrderStatus;
  readonly totalCents: number;
  readonly version: number;
}

export interface NewOrder {
  readonly customerId: string;
  readonly items: readonly { readonly productId: string; readonly quantity: number }[];
}
