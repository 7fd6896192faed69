export { readiness, type Check, type Readiness } from "./checks.js";
