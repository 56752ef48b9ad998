// Pictures of every page and dialog of a running demo: light, dark, and as a telephone of 320 px shows it. Fails on an error in the
// browser's console and on a page wider than its window.
//   node end2end/pictures.mjs [--data data] [--console http://127.0.0.1:3000] [--to docs/pictures] [--only monitoring,help]
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "@playwright/test";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", default: "data" },
    console: { type: "string", default: "http://127.0.0.1:3000" },
    to: { type: "string", default: "docs/pictures" },
    only: { type: "string", default: "" },
  },
});
const { email, password } = JSON.parse(readFileSync(path.join(options.data, "demo-sign-in.json"), "utf8"));

/** The address of the first link of a page with that name. */
const first = (address, name) => async (page) => {
  await page.goto(address);
  return page.getByRole("link", { name }).first().getAttribute("href");
};
const editor = first("/settings/workspaces", /^Edit search/);
const refusal = async (page) => {
  await page.goto("/monitoring/refusals");
  return page.locator("tbody th a").first().getAttribute("href");
};

/** File name, address, and what is done before the picture is taken. */
const PLACES = [
  ["monitoring", "/monitoring?range=1h"],
  ["monitoring-empty", "/monitoring?from=2020-01-01T00:00&to=2020-01-02T00:00"],
  ["rate-limit", "/monitoring/rate-limit"],
  ["increase", "/monitoring/rate-limit?increase=qwen-plus"],
  ["refusals", "/monitoring/refusals"],
  ["refusal", refusal],
  ["workspaces", "/settings/workspaces"],
  ["workspace-new", "/settings/workspaces?create=1"],
  ["workspace", editor],
  ["workspace-picker", async (page) => `${await editor(page)}?picker=1`],
  ["models", "/settings/models"],
  ["model", "/settings/models?edit=qwen-plus"],
  ["model-new", "/settings/models?create=1"],
  ["providers", "/settings/providers"],
  ["provider-new", "/settings/providers?create=1"],
  ["keys", "/settings/keys"],
  ["key-new", "/settings/keys?create=1"],
  ["members", "/settings/members"],
  ["member-new", "/settings/members?create=1"],
  ["audit", "/settings/audit"],
  ["import", "/settings/models/import"],
  ["account", "/settings/account"],
  ["help", "/help/rate-limits"],
  ["unknown", "/settings/nothing"],
  ["sign-in", "/sign-in"],
];

const LOOKS = [
  ["light", { colorScheme: "light", viewport: { width: 1280, height: 800 } }],
  ["dark", { colorScheme: "dark", viewport: { width: 1280, height: 800 } }],
  ["320", { colorScheme: "light", viewport: { width: 320, height: 720 }, isMobile: true, hasTouch: true }],
];

const wanted = options.only.split(",").filter(Boolean);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
mkdirSync(options.to, { recursive: true });
let storageState;
for (const [look, device] of LOOKS) {
  const context = await browser.newContext({ ...device, baseURL: options.console, locale: "en-GB", reducedMotion: "reduce", storageState });
  if (!storageState) {
    const answer = await context.request.post("/api/sign-in", { form: { email, password, next: "" } });
    if (!answer.ok()) throw new Error(`sign-in was answered with ${answer.status()}`);
    storageState = await context.storageState();
  }
  for (const [name, where] of PLACES.filter(([name]) => wanted.length === 0 || wanted.includes(name))) {
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (it) => errors.push(String(it)));
    page.on("console", (it) => it.type() === "error" && name !== "unknown" && errors.push(it.text()));
    const address = typeof where === "string" ? where : await where(page);
    if (name === "sign-in") await context.clearCookies();
    await page.goto(address);
    await page.waitForSelector("html.alive");
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) errors.push(`${wider} px wider than its window`);
    const dialog = (await page.locator("dialog[open]").count()) > 0;
    await page.screenshot({ path: path.join(options.to, `${name}-${look}.png`), fullPage: !dialog, animations: "disabled" });
    for (const it of errors) {
      console.error(`${name} (${look}): ${it}`);
      process.exitCode = 1;
    }
    await page.close();
  }
  await context.close();
}
await browser.close();
