import type { Locator, Page } from "@playwright/test";
import { OWNER } from "../support/installation";
import { expect, NOBODY, test } from "../support/test";

/** Tabs forward until the focus is there; what is never reached cannot be used by keyboard. */
async function tabTo(page: Page, target: Locator) {
  await expect(target).toBeVisible();
  for (let i = 0; i < 120; i++) {
    if (await target.evaluate((it) => it === document.activeElement)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${target} is not reached by Tab`);
}

/** What has the focus shows it. */
async function expectRing(target: Locator) {
  await expect(target).toBeFocused();
  const width = await target.evaluate((it) => Number.parseFloat(getComputedStyle(it).outlineWidth));
  const style = await target.evaluate((it) => getComputedStyle(it).outlineStyle);
  expect(style === "none" ? 0 : width, "width of the ring around what has the focus").toBeGreaterThanOrEqual(2);
}

async function press(page: Page, target: Locator, key = "Enter") {
  await tabTo(page, target);
  await expectRing(target);
  await page.keyboard.press(key);
}

test("the first Tab offers to skip to the content", async ({ page }) => {
  await page.goto("/monitoring");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to main content" });
  await expectRing(skip);
  await expect(skip).toBeInViewport();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.closest("main") !== null)).toBe(true);
});

test("a range is chosen and a model's rows are looked at", async ({ page, sluice, searchKey }) => {
  const key = await sluice.key("default");
  for (const it of [key, searchKey]) expect((await sluice.call(it, "qwen-flash")).status).toBe(200);
  await expect.poll(() => sluice.report().summary.total_calls).toBeGreaterThan(0);
  await page.goto("/monitoring");
  await press(page, page.getByRole("link", { name: "24 Hours" }));
  await expect(page).toHaveURL(/range=24h/);
  await press(page, page.getByRole("columnheader").getByRole("button", { name: "Total Calls" }));
  await expect(page).toHaveURL(/sort=/);
});

test("a limit is raised for a while", async ({ page }) => {
  await page.goto("/monitoring/rate-limit");
  await press(page, page.getByRole("button", { name: "Increase Rate Limit Temporarily" }));
  const dialog = page.getByRole("dialog");
  await expect(dialog).toBeVisible();
  await tabTo(page, dialog.getByLabel("Model"));
  await page.keyboard.type("qwen-flash");
  await expect(dialog.getByLabel("Model")).toHaveValue("qwen-flash");
  await tabTo(page, dialog.getByLabel("Token Rate Limit"));
  await page.keyboard.type("6000000");
  await press(page, dialog.getByRole("button", { name: "Save Changes" }));
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("row", { name: /qwen-flash/ }).first()).toContainText("6,000,000");
});

test("a workspace is made, and gets a model and a limit", async ({ page }, info) => {
  const name = `keys only ${info.project.name} ${info.retry}`;
  await page.goto("/settings/workspaces");
  await press(page, page.getByRole("button", { name: /New workspace/ }));
  const dialog = page.getByRole("dialog");
  await tabTo(page, dialog.getByLabel("Name"));
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  await page.goto("/settings/workspaces");
  await press(page, page.getByRole("link", { name: `Edit ${name}` }));
  await press(page, page.getByRole("button", { name: "All Models" }));
  const picker = page.getByRole("dialog");
  await press(page, picker.getByRole("checkbox", { name: "qwen-turbo" }), "Space");
  await press(page, picker.getByRole("button", { name: "Add models" }));
  await expect(picker).toBeHidden();
  const row = page.getByRole("group", { name: "qwen-turbo", exact: true });
  await tabTo(page, row.getByLabel(/Times \/ min/));
  await page.keyboard.type("40");
  await press(page, page.getByRole("button", { name: "Apply" }));
  await press(page, page.getByRole("button", { name: "Save Changes" }));
  await expect(page.locator(".toasts")).toContainText(/\S/);
  await page.reload();
  await expect(row.getByLabel(/Times \/ min/)).toHaveValue("40");
});

test("a key is made and revoked", async ({ page }, info) => {
  const name = `typed ${info.project.name}`;
  await page.goto("/settings/keys?create=1");
  const dialog = page.getByRole("dialog");
  await tabTo(page, dialog.getByLabel("Name"));
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await expect(page.getByText(/sk-\w{20,}/).first()).toBeVisible();
  await page.goto("/settings/keys");
  await press(page, page.getByRole("link", { name: new RegExp(`Revoke.*${name}`) }));
  await press(page, page.getByRole("dialog").getByRole("button", { name: /Revoke/ }));
  await expect(page.getByRole("row", { name: new RegExp(name) })).toContainText(/revoked/i);
});

test.describe("nobody signed in", () => {
  test.use({ storageState: NOBODY });

  test("signing in", async ({ page }) => {
    await page.goto("/sign-in");
    await tabTo(page, page.getByLabel("E-mail address"));
    await page.keyboard.type(OWNER.email);
    await page.keyboard.press("Tab");
    await page.keyboard.type(OWNER.password);
    await page.keyboard.press("Enter");
    await expect(page).toHaveURL(/\/monitoring$/);
  });
});
