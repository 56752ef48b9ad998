// What a person waits for on each page: Largest Contentful Paint, Interaction to Next Paint and Lighthouse's scores,
// medians over runs, of the demo with its traffic (first-run set-up: of an empty installation). Prints a table; --record appends it to bench/RESULTS.md.
//   node bench/console/measure.mjs [--runs 5] [--pages monitoring,refusals] [--no-lighthouse] [--record]
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import lighthouse, { desktopConfig } from "lighthouse";
import { chromium } from "playwright-core";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.resolve(HERE, "../..");
const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    pages: { type: "string", default: "" },
    "no-lighthouse": { type: "boolean", default: false },
    record: { type: "boolean", default: false },
  },
});
const RUNS = Number(options.runs);
const SLUICE = process.env.SLUICE_BIN ?? path.join(ROOT, "target/release/sluice");
const CHROMIUM = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run"];

/** The page that an installation shows before it has an owner. */
const SET_UP = "set up";
/** Pages for nobody. */
const OPEN = ["sign in", SET_UP];

/** Pages by name; what is done on each to see how quickly it answers. */
const PAGES = [
  ["monitoring", "/monitoring", ["button[data-fold]", "details > summary"]],
  ["rate limit", "/monitoring/rate-limit", ["button[commandfor]", "dialog [data-close]"]],
  ["refusals", "/monitoring/refusals", ["#refusal-id"]],
  ["a refusal", refusal, ["button[data-copy]"]],
  ["workspaces", "/settings/workspaces", ["button[commandfor]", "dialog[open] [data-close]"]],
  ["workspace editor", editor, ["main button[commandfor], main button[type=button]"]],
  ["models", "/settings/models", ["button[commandfor]", "dialog[open] [data-close]"]],
  ["import", "/settings/models/import", ["main input[type=checkbox]"]],
  ["providers", "/settings/providers", ["button[commandfor]", "dialog[open] [data-close]"]],
  ["keys", "/settings/keys", ["button[commandfor]", "dialog[open] [data-close]"]],
  ["members", "/settings/members", ["button[commandfor]", "dialog[open] [data-close]"]],
  ["audit log", "/settings/audit", ["#audit-actor"]],
  ["account", "/settings/account", ["main input:not([type=hidden])"]],
  ["help", "/help/rate-limits", ["[data-theme-switch] button"]],
  ["sign in", "/sign-in", ["[name=email]"]],
  [SET_UP, "/set-up", ["[name=email]"]],
];

function median(numbers) {
  const sorted = numbers.filter((it) => it !== undefined).toSorted((a, b) => a - b);
  return sorted.length === 0 ? undefined : sorted[Math.floor(sorted.length / 2)];
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startDemo() {
  const folder = mkdtempSync(path.join(tmpdir(), "sluice-console-"));
  // A release build has the site inside; any other reads it from here.
  mkdirSync(path.join(folder, "target"));
  symlinkSync(path.join(ROOT, "target/site"), path.join(folder, "target/site"));
  const [consolePort, gatewayPort] = [await freePort(), await freePort()];
  const env = { ...process.env, SLUICE_CONSOLE_ADDR: `127.0.0.1:${consolePort}`, SLUICE_GATEWAY_ADDR: `127.0.0.1:${gatewayPort}` };
  const demo = spawn(SLUICE, ["demo"], { cwd: folder, env, stdio: ["ignore", "pipe", "ignore"] });
  const stop = async () => {
    demo.kill("SIGINT");
    if (demo.exitCode === null) await new Promise((resolve) => demo.once("exit", resolve));
    rmSync(folder, { recursive: true, force: true });
  };
  for await (const line of createInterface(demo.stdout)) {
    const found = line.match(/sign in as (\S+) with password (\S+)/);
    if (found) {
      const key = JSON.parse(readFileSync(path.join(folder, "data/demo-sign-in.json"), "utf8")).keys.default;
      return { url: `http://127.0.0.1:${consolePort}`, gateway: `http://127.0.0.1:${gatewayPort}`, email: found[1], password: found[2], key, stop };
    }
  }
  throw new Error("the demo did not start");
}

/** An installation that nobody has set up. */
async function startEmpty() {
  const folder = mkdtempSync(path.join(tmpdir(), "sluice-console-"));
  mkdirSync(path.join(folder, "target"));
  symlinkSync(path.join(ROOT, "target/site"), path.join(folder, "target/site"));
  const [consolePort, gatewayPort] = [await freePort(), await freePort()];
  const env = { ...process.env, SLUICE_CONSOLE_ADDR: `127.0.0.1:${consolePort}`, SLUICE_GATEWAY_ADDR: `127.0.0.1:${gatewayPort}` };
  const served = spawn(SLUICE, ["serve"], { cwd: folder, env, stdio: "ignore" });
  const url = `http://127.0.0.1:${consolePort}`;
  while (!(await fetch(`${url}/readyz`).then((it) => it.ok, () => false))) {
    if (served.exitCode !== null) throw new Error("sluice serve did not start");
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const stop = async () => {
    served.kill("SIGINT");
    if (served.exitCode === null) await new Promise((resolve) => served.once("exit", resolve));
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, stop };
}

/** A refusal of the demo's own traffic, or one made by more calls at once than a second may hold. */
async function refusal(demo, page) {
  for (let i = 0; i < 50; i++) {
    await page.goto(`${demo.url}/monitoring/refusals`);
    const link = page.locator("tbody th a").first();
    if ((await link.count()) > 0) return await link.getAttribute("href");
    const call = () =>
      fetch(`${demo.gateway}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${demo.key}`, "content-type": "application/json" },
        body: JSON.stringify({ model: "qwen-plus-2025-07-28", max_tokens: 8, messages: [{ role: "user", content: "Who are you?" }] }),
      }).then((it) => it.text());
    await Promise.all(Array.from({ length: 5 }, call));
  }
  throw new Error("nothing was refused");
}

async function editor(demo, page) {
  await page.goto(`${demo.url}/settings/workspaces`);
  return await page.getByRole("link", { name: /^Edit/ }).first().getAttribute("href");
}

const WEB_VITALS = readFileSync(path.join(HERE, "node_modules/web-vitals/dist/web-vitals.iife.js"), "utf8");

/** Runs in the page. */
function listen() {
  window.measured = {};
  const keep = (it) => (window.measured[it.name] = it.value);
  webVitals.onLCP(keep, { reportAllChanges: true });
  webVitals.onCLS(keep, { reportAllChanges: true });
  webVitals.onINP(keep, { reportAllChanges: true, durationThreshold: 0 });
}

/** The page as a browser with empty caches sees it, and what it takes to answer a press. */
async function visit(browser, demo, cookies, address, presses) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  await context.addCookies(cookies);
  const page = await context.newPage();
  // One script: each has variables of its own.
  await page.addInitScript({ content: `${WEB_VITALS};(${listen})()` });
  await page.goto(demo.url + address, { waitUntil: "load" });
  await page.waitForSelector("html.alive");
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 50))));
  const { LCP, CLS } = await page.evaluate(() => window.measured);
  for (const selector of presses) {
    const target = page.locator(selector).locator("visible=true").first();
    if ((await target.count()) > 0 && (await target.isEnabled())) await target.click();
  }
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.keyboard.press("Escape");
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
  const { INP } = await page.evaluate(() => window.measured);
  await context.close();
  return { LCP, CLS: CLS ?? 0, INP };
}

async function audit(port, demo, cookie, address, config) {
  const flags = { port, output: "json", onlyCategories: ["performance", "accessibility", "best-practices"], disableStorageReset: true, extraHeaders: { Cookie: cookie } };
  const { lhr } = await lighthouse(demo.url + address, flags, config);
  const score = (it) => Math.round((lhr.categories[it].score ?? 0) * 100);
  const failed = Object.values(lhr.audits).filter((it) => it.score !== null && it.score < 0.9 && it.scoreDisplayMode !== "informative");
  return {
    scores: ["performance", "accessibility", "best-practices"].map(score),
    lcp: lhr.audits["largest-contentful-paint"].numericValue,
    failed: failed.map((it) => it.id),
  };
}

async function main() {
  const demo = await startDemo();
  const empty = await startEmpty();
  const port = await freePort();
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, `--remote-debugging-port=${port}`] });
  const rows = [];
  try {
    const context = await browser.newContext();
    const answer = await context.request.post(`${demo.url}/api/sign-in`, { form: { email: demo.email, password: demo.password, next: "" } });
    if (!answer.ok()) throw new Error(`sign-in was answered with ${answer.status()}`);
    const { cookies } = await context.storageState();
    const cookie = cookies.map((it) => `${it.name}=${it.value}`).join("; ");
    const page = await context.newPage();
    const wanted = options.pages.split(",").filter(Boolean);
    for (const [name, where, presses] of PAGES.filter(([name]) => wanted.length === 0 || wanted.includes(name))) {
      const address = typeof where === "string" ? where : await where(demo, page);
      const installation = name === SET_UP ? empty : demo;
      const own = OPEN.includes(name) ? [] : cookies;
      const visits = [];
      for (let i = 0; i < RUNS; i++) visits.push(await visit(browser, installation, own, address, presses));
      const row = { name, lcp: median(visits.map((it) => it.LCP)), inp: median(visits.map((it) => it.INP)), cls: Math.max(...visits.map((it) => it.CLS)) };
      if (!options["no-lighthouse"]) {
        for (const [kind, config] of [["mobile", undefined], ["desktop", desktopConfig]]) {
          const audits = [];
          for (let i = 0; i < RUNS; i++) audits.push(await audit(port, installation, OPEN.includes(name) ? "" : cookie, address, config));
          row[kind] = [0, 1, 2].map((i) => median(audits.map((it) => it.scores[i])));
          row[`${kind}Lcp`] = median(audits.map((it) => it.lcp));
          row.failed = [...new Set([...(row.failed ?? []), ...audits.flatMap((it) => it.failed)])];
        }
      }
      rows.push(row);
      console.log(JSON.stringify(row));
    }
  } finally {
    await browser.close();
    await demo.stop();
    await empty.stop();
  }
  const text = table(rows);
  console.log(text);
  if (options.record) appendFileSync(path.join(ROOT, "bench/RESULTS.md"), text);
}

function table(rows) {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT, encoding: "utf8" }).trim();
  const at = new Date().toISOString().slice(0, 16).replace("T", " ");
  const ms = (it) => (it === undefined ? "—" : Math.round(it));
  const scores = (it) => it?.join("/") ?? "—";
  const lines = rows.map(
    (it) => `| ${it.name} | ${ms(it.lcp)} | ${ms(it.mobileLcp)} | ${ms(it.inp)} | ${it.cls.toFixed(3)} | ${scores(it.mobile)} | ${scores(it.desktop)} |`,
  );
  return `
## ${at} UTC, ${commit}: what a person waits for on each page

The demo with its traffic, medians of ${RUNS} visits with empty caches. LCP and INP of a desktop as they came (CLS: the highest); Lighthouse
(performance/accessibility/best practices) with its throttling of a mobile and of a desktop, and the mobile's LCP.

| page | LCP ms | mobile LCP ms | INP ms | CLS | Lighthouse mobile | Lighthouse desktop |
|---|---:|---:|---:|---:|---|---|
${lines.join("\n")}
`;
}

await main();
