import { existsSync } from "node:fs";
import { SLUICE, STAND_IN } from "./paths";

/** The processes themselves are started by each worker; here is only said, once, what is missing. */
export default function globalSetup() {
  for (const program of [SLUICE, STAND_IN]) {
    if (!existsSync(program)) throw new Error(`${program} is not built; \`make e2e\` builds it`);
  }
}
