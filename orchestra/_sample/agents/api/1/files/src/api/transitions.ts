const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  draft: ["placed", "cancelled"],
  placed: ["paid", "cancelled"],
  paid: ["shipped"],
  shipped: [],
  cancelled: [],
};

export function mayBecome(from: string, to: string): boolean {
  return ALLOWED[from]?.includes(to) ?? false;
}
