import type { Page } from "@playwright/test";
import { hide } from "../support/hidden";
import { expect, test } from "../support/test";

const LIVE = /\/live\?/;

test.beforeAll("there is something to look at", async ({ sluice, searchKey }) => {
  const before = sluice.report().summary.total_calls;
  await sluice.call(searchKey, "qwen-plus");
  await expect.poll(() => sluice.report().summary.total_calls).toBe(before + 1);
});

/** A workspace of its own, whose first call makes a row that no page has yet. */
async function newRow(page: Page, call: (workspace: string) => Promise<unknown>, name: string) {
  await call(name);
  const other = await page.context().newPage();
  await expect(async () => {
    await other.goto("/monitoring?range=1h");
    await expect(other.locator("table.figures").getByText(name).first()).toBeVisible({ timeout: 500 });
  }).toPass();
  await other.close();
}

for (const [how, leave, back] of [
  ["hidden", (page: Page) => hide(page, true), (page: Page) => hide(page, false)],
  [
    "paused",
    (page: Page) => page.getByRole("button", { name: "Pause" }).click(),
    (page: Page) => page.getByRole("button", { name: "Resume" }).click(),
  ],
] as const) {
  test(`a row that came while the page was ${how} is told of`, async ({ page, sluice }, info) => {
    await page.goto("/monitoring?range=1h");
    await expect(page.locator(".livebar")).toContainText(/updated \d+ s ago/);
    await expect(page.getByRole("link", { name: "New rows: show" })).toBeHidden();
    await leave(page);
    const name = `${how} ${info.project.name}`;
    sluice.apply(`[[workspace]]\nname = "${name}"\nmodels = [ { code = "qwen-plus" } ]\n`);
    await newRow(page, async (workspace) => sluice.call(await sluice.key(workspace), "qwen-plus"), name);
    await back(page);
    await page.getByRole("link", { name: "New rows: show" }).click();
    await expect(page.locator("table.figures").getByText(name).first()).toBeVisible();
    await expect(page.locator(".livebar")).toContainText(/updated \d+ s ago/);
    await expect(page.getByRole("link", { name: "New rows: show" })).toBeHidden();
  });
}

test.describe("a server that does not answer for a while", () => {
  test.use({ expectedErrors: [/503|401/] });

  test("is asked again until it does", async ({ page }) => {
    let refused = 0;
    await page.route(LIVE, (route) => (++refused <= 2 ? route.fulfill({ status: 503 }) : route.continue()));
    await page.goto("/monitoring?range=1h");
    await expect(page.locator(".livebar")).toContainText("not connected");
    await expect(page.locator(".livebar")).toContainText(/updated \d+ s ago/);
    expect(refused).toBeGreaterThan(2);
  });

  test("is told apart from a session that has ended, which leads to sign-in and back", async ({ page }) => {
    await page.route(LIVE, (route) => route.fulfill({ status: 401 }));
    await page.goto("/monitoring?range=1h");
    const link = page.getByRole("link", { name: "You are signed out: sign in" });
    await expect(link).toHaveAttribute("href", "/sign-in?next=%2Fmonitoring%3Frange%3D1h");
    await expect(link).toBeVisible();
  });
});

test("a drawing that changes in mid-drag waits for its end", async ({ page, isMobile }) => {
  test.skip(isMobile, "a finger scrolls; the custom range takes its place");
  let drawings: [string, string][] = [];
  let value = "1";
  await page.route(LIVE, (route) => {
    const patch = { texts: [["tile/1/value", value]], bars: [], drawings, rows_changed: false };
    return route.fulfill({ contentType: "text/event-stream", body: `retry: 50\ndata: ${JSON.stringify(patch)}\n\n` });
  });
  await page.goto("/monitoring?range=24h");
  await expect(page.locator("html.alive")).toBeAttached();
  const figure = page.locator("figure", { has: page.getByRole("heading", { name: "Calls per minute", exact: true }) });
  const canvas = figure.locator(".canvas");
  const key = (await canvas.getAttribute("data-drawing"))!;
  const markup = (await canvas.innerHTML()) + "<i class=exchanged></i>";
  const tile = page.locator(".tile", { hasText: "Total Calls" }).locator("strong");
  await figure.scrollIntoViewIfNeeded();
  const box = (await figure.locator(".plot").boundingBox())!;

  // Too short to be a zoom: what came meanwhile is put in afterwards.
  await page.mouse.move(box.x + box.width / 2, box.y + 40);
  await page.mouse.down();
  [drawings, value] = [[[key, markup]], "4711"];
  await expect(tile).toContainText("4711");
  await expect(canvas.locator(".exchanged")).toHaveCount(0);
  await page.mouse.up();
  await expect(canvas.locator(".exchanged")).toHaveCount(1);

  await page.mouse.down();
  [drawings, value] = [[[key, markup]], "4712"];
  await expect(tile).toContainText("4712");
  await page.mouse.move(box.x + (box.width * 3) / 4, box.y + 50, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/zoom=24h.*&from=.*&to=/);
});
