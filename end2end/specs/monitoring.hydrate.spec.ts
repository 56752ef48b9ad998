import type { Locator, Page } from "@playwright/test";
import { hide } from "../support/hidden";
import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

test.beforeAll("there is something to look at", async ({ sluice, searchKey }) => {
  const before = sluice.report().summary.total_calls;
  const support = await sluice.key("default");
  for (let i = 0; i < 3; i++) {
    await sluice.call(searchKey, "qwen-plus", { stream: true });
    await sluice.call(support, "qwen-plus");
    await sluice.call(searchKey, "qwen-flash");
  }
  await expect.poll(() => sluice.report().summary.total_calls).toBe(before + 9);
});

function tile(page: Page, name: string): Locator {
  return page.locator(".tile", { hasText: name }).locator("strong");
}

function chart(page: Page, title: string): Locator {
  return page.locator("figure", { has: page.getByRole("heading", { name: title, exact: true }) });
}

test("a call appears without a reload, nothing moves, and Pause holds everything still", async ({ page, sluice, searchKey }) => {
  await page.goto("/monitoring?range=1h");
  const bar = page.locator(".livebar");
  await expect(bar).toContainText(/updated \d+ s ago/);
  await page.evaluate(() => Object.assign(window, { same: true }));
  const fold = page.locator("table").getByRole("button", { name: "qwen-plus" });
  await fold.focus();
  const scrolled = await page.evaluate(() => window.scrollY);
  const order = await page.locator("table.figures tbody tr:first-child th").allInnerTexts();
  const before = sluice.report().summary.total_calls;
  await sluice.call(searchKey, "qwen-plus");
  await expect(tile(page, "Total Calls")).toContainText(`${before + 1}`);
  await expect(chart(page, "Requests by the second").locator(".plot")).toHaveAttribute("data-rows", /;[1-9]\d*\|\d+;/);
  await expect(fold).toBeFocused();
  expect(await page.evaluate(() => [window.scrollY, (window as { same?: boolean }).same])).toEqual([scrolled, true]);
  expect(await page.locator("table.figures tbody tr:first-child th").allInnerTexts()).toEqual(order);

  await bar.getByRole("button", { name: "Pause" }).click();
  await expect(bar).toContainText("paused");
  const held = await tile(page, "Total Calls").innerText();
  await sluice.call(searchKey, "qwen-plus");
  await expect.poll(() => sluice.report().summary.total_calls).toBe(before + 2);
  expect(await tile(page, "Total Calls").innerText()).toBe(held);
  await bar.getByRole("button", { name: "Resume" }).click();
  await expect(tile(page, "Total Calls")).toContainText(`${before + 2}`);
});

test("a hidden tab asks for nothing", async ({ page }) => {
  const opened: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/live?")) opened.push(request.url());
  });
  await page.goto("/monitoring?range=1h");
  await expect.poll(() => opened.length).toBe(1);
  await hide(page, true);
  const closed = await page.evaluate(() => performance.getEntriesByType("resource").length);
  await hide(page, false);
  await expect.poll(() => opened.length).toBe(2);
  expect(closed).toBeGreaterThan(0);
});

test("the crosshair and its readings are shared by all drawings of the range", async ({ page }) => {
  await page.goto("/monitoring?range=1h");
  await expect(page.locator("html.alive")).toBeAttached();
  const plot = chart(page, "Calls per minute").locator(".plot");
  await plot.hover();
  for (const title of ["Tokens per minute", "Calls per minute", "Refusals by cause", "Latency"]) {
    await expect(chart(page, title).locator(".tip"), title).toBeVisible();
    await expect(chart(page, title).locator(".tip")).toContainText(/^\d{4}-\d\d-\d\d \d\d:\d\d/);
  }
  const box = (await plot.boundingBox())!;
  await page.mouse.move(box.x + box.width - 3, box.y + box.height / 2);
  await expect(chart(page, "Calls per minute").locator(".tip")).toContainText("qwen-plus");
  await page.getByRole("heading", { level: 1 }).hover();
  await expect(chart(page, "Latency").locator(".tip")).toBeHidden();
});

test("a legend isolates a series, and lets it go", async ({ page }) => {
  await page.goto("/monitoring?range=1h");
  const latency = chart(page, "Latency");
  const p95 = latency.getByRole("button", { name: "p95" });
  await p95.click();
  await expect(p95).toHaveAttribute("aria-pressed", "true");
  await expect(latency).toHaveAttribute("data-only", "s2");
  await p95.press("Enter");
  await expect(p95).toHaveAttribute("aria-pressed", "false");
  await expect(latency).not.toHaveAttribute("data-only");
});

test("dragging over a drawing zooms, and the zoom can be undone", async ({ page, isMobile }) => {
  test.skip(isMobile, "a finger scrolls; the custom range takes its place");
  await page.goto("/monitoring?range=24h&sort=-total_calls");
  await expect(page.locator("html.alive")).toBeAttached();
  const plot = chart(page, "Calls per minute").locator(".plot");
  // What moves by itself holds still.
  await page.getByRole("button", { name: "Pause" }).click();
  await plot.scrollIntoViewIfNeeded();
  const box = (await plot.boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + (box.width * 3) / 4, box.y + 50, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/zoom=24h.*sort=-total_calls.*&from=.*&to=/);
  const [from, to] = await page.locator(".when time").evaluateAll((all) => all.map((it) => Date.parse((it as HTMLTimeElement).dateTime)));
  expect(Math.round((to - from) / 3_600_000)).toBe(6);
  await page.getByRole("link", { name: "Undo zoom" }).click();
  await expect(page).toHaveURL(/range=24h/);
  await expect(page).not.toHaveURL(/from=|zoom=/);
});

test("rows fold by the keyboard", async ({ page }) => {
  await page.goto("/monitoring?range=1h");
  await expect(page.locator("html.alive")).toBeAttached();
  const button = page.locator("table").getByRole("button", { name: "qwen-plus" });
  const parts = page.locator("tr.part", { has: page.getByRole("cell", { name: "qwen-plus" }) });
  await expect(parts.first()).toBeVisible();
  await button.focus();
  await page.keyboard.press("Space");
  await expect(parts.first()).toBeHidden();
  await expect(button).toHaveAttribute("aria-expanded", "false");
  await page.keyboard.press("Enter");
  await expect(parts.first()).toBeVisible();
  await page.getByRole("button", { name: "Fold all" }).press("Enter");
  await expect(parts.first()).toBeHidden();
  await expectSound(page);
});

test("times are those of the reader, also in a custom range on a day with other clocks", async ({ page }) => {
  await page.goto("/monitoring");
  await expect(page.locator("html.alive")).toBeAttached();
  await page.getByRole("button", { name: "Custom…" }).click();
  const form = page.getByRole("form", { name: "Custom range" });
  await form.getByLabel("From").fill("2026-03-28T12:00");
  await form.getByLabel("To").fill("2026-03-30T12:00");
  await form.getByRole("button", { name: "Show" }).click();
  // Madrid is one hour ahead of UTC before the 29th, and two after it.
  const times = page.locator(".when time");
  await expect(times.first()).toHaveAttribute("datetime", "2026-03-28T11:00:00Z");
  await expect(times.last()).toHaveAttribute("datetime", "2026-03-30T10:00:00Z");
  await expect(times.last()).toHaveText("2026-03-30 12:00");
  await page.getByRole("button", { name: "Custom…" }).click();
  await expect(form.getByLabel("To")).toHaveValue("2026-03-30T12:00");
});
