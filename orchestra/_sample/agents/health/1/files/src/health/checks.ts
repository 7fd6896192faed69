export type Check = () => Promise<void>;

export interface Readiness {
  readonly status: 200 | 503;
  readonly checks: Readonly<Record<string, "up" | "down">>;
}

export async function readiness(checks: Readonly<Record<string, Check>>): Promise<Readiness> {
  const names = Object.keys(checks);
  const results = await Promise.allSettled(names.map((name) => checks[name]?.()));
  const states = results.map((result) => (result.status === "fulfilled" ? "up" : "down"));
  const failed = states.includes("down");
  return {
    status: failed ? 503 : 200,
    checks: Object.fromEntries(names.map((name, place) => [name, states[place] ?? "down"])),
  };
}
