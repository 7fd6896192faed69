export { requireRole, type Caller, type Verdict } from "./guard.js";
export { rotate, type AccessClaims, type RefreshTokenStore, type Role } from "./tokens.js";
