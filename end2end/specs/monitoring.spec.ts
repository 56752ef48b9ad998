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
