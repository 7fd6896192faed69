import type { AccessClaims, Role } from "./tokens.js";

export interface Caller {
  readonly id: string;
  readonly role: Role;
}

export type Verdict = { readonly allowed: true; readonly caller: Caller } | { readonly allowed: false; readonly status: 401 | 403 };

export function requireRole(...roles: readonly Role[]): (claims: AccessClaims | null, now: Date) => Verdict {
  return (claims, now) => {
    if (claims === null || claims.exp * 1000 <= now.getTime()) return { allowed: false, status: 401 };
    if (!roles.includes(claims.role)) return { allowed: false, status: 403 };
    return { allowed: true, caller: { id: claims.sub, role: claims.role } };
  };
}
