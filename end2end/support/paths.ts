import path from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

const built = path.join(process.env.CARGO_TARGET_DIR ?? path.join(ROOT, "target"), "debug");

export const SLUICE = process.env.SLUICE_BIN ?? path.join(built, "sluice");
export const STAND_IN = process.env.STAND_IN_BIN ?? path.join(built, "stand-in");
