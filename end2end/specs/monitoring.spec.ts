import type { Page } from "@playwright/test";
import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

const TILES = ["Total Models", "Total Calls", "Failures", "Avg Time to First Token", "Avg Latency"];
const COLUMNS = [
  "Model",
  "Workspace",
  "Avg TPM",
  "Avg RPM",
  "Total Calls",
  "Failed Calls",
  "Failure Rate",
  "Avg Time to First Token",
  "Avg Latency",
];

test.beforeAll("calls of every kind pass the gateway", async ({ sluice, searchKey }) => {
  const before = sluice.report().summary;
  const supportKey = await sluice.key("support");
  const statuses = [];
  for (const [key, model, more, headers] of [
    [searchKey, "qwen-plus", {}, {}],
    [searchKey, "qwen-plus", { stream: true }, {}],
    [searchKey, "qwen-flash", { stream: true }, {}],
    [searchKey, "qwen-flash", {}, { "x-stand-in": "status=500" }],
    [supportKey, "qwen-plus", {}, {}],
  ] as const) {
    statuses.push((await sluice.call(key, model, more, headers)).status);
  }
  expect(statuses).toEqual([200, 200, 200, 500, 429]);
  await expect.poll(() => sluice.report().summary).toMatchObject({
    total_calls: before.total_calls + 5,
    failures: before.failures + 2,
  });
});

test("tiles and table show what was called", async ({ page, sluice }) => {
  const { summary } = sluice.report();
  await page.goto("/monitoring");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Monitoring");
  const tiles = page.locator("dl", { has: page.getByText("Total Models", { exact: true }) });
  for (const tile of TILES) await expect(tiles.getByText(tile, { exact: true })).toBeVisible();
  await expect(tiles.locator("div", { hasText: "Total Calls" }).locator("strong")).toContainText(`${summary.total_calls}`);
  await expect(tiles.locator("div", { hasText: "Failures" }).locator("strong")).toContainText(`${summary.failures}`);

  const table = page.getByRole("table").filter({ has: page.getByRole("columnheader", { name: "Failed Calls" }) });
  const headers = await table.getByRole("columnheader").allInnerTexts();
  expect(headers.map((it) => it.split("\n")[0].replace(/[↑↓]/g, "").trim())).toEqual(COLUMNS);
  for (const model of ["qwen-plus", "qwen-flash"]) await expect(table.getByText(model, { exact: true }).first()).toBeVisible();
  await expectSound(page);
});

test("a range is an address", async ({ page }) => {
  await page.goto("/monitoring");
  await page.getByRole("link", { name: "24 Hours" }).click();
  await expect(page).toHaveURL(/[?&]range=24h/);
  await page.reload();
  await expect(page.getByRole("link", { name: "24 Hours" })).toHaveAttribute("aria-current", "true");
  await page.goBack();
  await expect(page).not.toHaveURL(/range=24h/);
});

test("both tabs are links", async ({ page }) => {
  await page.goto("/monitoring");
  await page.getByRole("navigation", { name: "Monitoring" }).getByRole("link", { name: "Rate Limit" }).click();
  await expect(page).toHaveURL(/\/monitoring\/rate-limit$/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Rate Limit");
});

function models(page: Page) {
  return page.getByRole("table").filter({ has: page.getByRole("columnheader", { name: "Failed Calls" }) }).first();
}

test("headers are buttons that sort, and the order is in the address and in the file", async ({ page }) => {
  await page.goto("/monitoring?range=1h");
  const table = models(page);
  await table.getByRole("button", { name: "Total Calls" }).click();
  await expect(page).toHaveURL(/range=1h/);
  await expect(page).toHaveURL(/sort=-total_calls/);
  await expect(table.getByRole("columnheader", { name: "Total Calls" })).toHaveAttribute("aria-sort", "descending");
  const order = async () => (await table.locator("tbody tr:first-child th").allInnerTexts()).map((it) => it.trim());
  const down = await order();
  await table.getByRole("button", { name: "Total Calls" }).click();
  await expect(table.getByRole("columnheader", { name: "Total Calls" })).toHaveAttribute("aria-sort", "ascending");
  expect((await order()).length).toBe(down.length);
  const href = await page.getByRole("link", { name: "CSV" }).getAttribute("href");
  const lines = (await (await page.request.get(href!)).text()).trim().split("\r\n").slice(1);
  expect([...new Set(lines.map((it) => it.split(",")[0]))]).toEqual(await order());
});

test("a custom range is typed, stepped through, and told when it cannot be", async ({ page }) => {
  await page.goto("/monitoring");
  await page.getByRole("button", { name: "Custom…" }).click();
  const form = page.getByRole("form", { name: "Custom range" });
  await form.getByLabel("From").fill("2026-03-01T08:00");
  await form.getByLabel("To").fill("2026-03-01T10:00");
  await form.getByRole("button", { name: "Show" }).click();
  await expect(page).toHaveURL(/from=2026-03-01T08/);
  const times = page.locator(".when time");
  await expect(times.first()).toHaveText("2026-03-01 08:00");
  await expect(times.last()).toHaveText("2026-03-01 10:00");
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await page.getByRole("link", { name: "One range earlier" }).click();
  await expect(times.first()).toHaveText("2026-03-01 06:00");
  await page.getByRole("link", { name: "One range later" }).click();
  await expect(times.first()).toHaveText("2026-03-01 08:00");
  await expectSound(page);
  for (const [query, said] of [
    ["from=2099-01-01T00:00&to=2099-01-02T00:00", "lies in the future"],
    ["from=2026-02-02T00:00&to=2026-02-01T00:00", "ends before it begins"],
    ["from=x&to=%3Cb%3E", "could not be read"],
    ["from=2001-01-01T00:00&to=2026-02-01T00:00", "cut at ten years"],
    ["range=soon", "no range of that name"],
    ["from=2020-01-01T00:10&to=2020-01-01T00:20", "Nothing of that range is kept"],
  ]) {
    await page.goto(`/monitoring?${query}`);
    await expect(page.locator(".notice"), query).toContainText(said);
  }
});

test("every drawing has its words: a name, a table, and refusals by their cause", async ({ page, sluice }) => {
  await page.goto("/monitoring?range=1h");
  for (const title of ["Tokens per minute", "Calls per minute", "Refusals by cause", "Latency", "Requests by the second"]) {
    const chart = page.locator("figure", { has: page.getByRole("heading", { name: title }) });
    await expect(chart.getByRole("img", { name: new RegExp(`^${title}`) })).toBeVisible();
    await chart.getByText("As a table").click();
    await expect(chart.locator("tbody tr").first()).toBeVisible();
  }
  const refusals = page.locator("figure", { has: page.getByRole("heading", { name: "Refusals by cause" }) });
  const rows = await refusals.locator("tbody tr").allInnerTexts();
  const requests = rows.map((it) => Number(it.split("\t")[1])).reduce((sum, it) => sum + it, 0);
  expect(requests).toBeGreaterThanOrEqual(1);
  expect(sluice.report().summary.failures).toBeGreaterThanOrEqual(requests);
  await expectSound(page);
});

test("a call that is stopped before the limiter is in no row, and its number stands under the table", async ({ page, sluice, searchKey }) => {
  const calls = sluice.report().summary.total_calls;
  expect((await sluice.call(searchKey, "no-such-model")).status).toBe(404);
  await expect(async () => {
    await page.goto("/monitoring?range=1h");
    await expect(page.getByText(/stopped before (it|they) reached the limiter/)).toBeVisible({ timeout: 500 });
  }).toPass();
  expect(sluice.report().summary.total_calls).toBe(calls);
});
