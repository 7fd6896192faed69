export type Role = "admin" | "staff" | "viewer";

export interface AccessClaims {
  readonly sub: string;
  readonly role: Role;
  readonly exp: number;
}

export const ACCESS_TOKEN_SECONDS = 15 * 60;

export interface RefreshTokenStore {
  issue(input: { userId: string; familyId: string; tokenHash: string; expiresAt: Date }): Promise<void>;
  consume(tokenHash: string): Promise<{ userId: string; familyId: string } | "unknown" | "reused">;
  revokeFamily(familyId: string): Promise<void>;
}

export async function rotate(store: RefreshTokenStore, tokenHash: string): Promise<string | null> {
  const found = await store.consume(tokenHash);
  if (found === "unknown" || found === "reused") return null;
  return found.userId;
}
