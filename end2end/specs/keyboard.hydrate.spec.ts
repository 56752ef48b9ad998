import type { Page } from "@playwright/test";
import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

async function open(page: Page, address: string) {
  await page.goto(address);
  await expect(page.locator("html")).toHaveClass(/\balive\b/);
}

test("g and a letter go somewhere, and only together", async ({ page }) => {
  await open(page, "/help/rate-limits");
  for (const [letter, path] of [
    ["m", "/monitoring"],
    ["r", "/monitoring/rate-limit"],
    ["w", "/settings/workspaces"],
  ]) {
    await page.keyboard.press("g");
    await page.keyboard.press(letter);
    await expect(page).toHaveURL(new RegExp(`${path}$`));
    await expect(page.locator("html")).toHaveClass(/\balive\b/);
  }
  await page.keyboard.press("g");
  await page.keyboard.press("x");
  await page.keyboard.press("m");
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog")).toBeVisible();
  await expect(page).toHaveURL(/\/settings\/workspaces$/);
});

test("? lists the keys in a dialog that holds the focus and gives it back", async ({ page }) => {
  await open(page, "/monitoring");
  const link = page.getByRole("link", { name: "24 Hours" });
  await link.focus();
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keyboard" });
  await expect(dialog).toBeVisible();
  await expectSound(page, { html: false });
  for (let i = 0; i < 6; i++) {
    await page.keyboard.press("Tab");
    const outside = await page.evaluate(() => {
      const at = document.activeElement;
      return at !== document.body && at?.closest("dialog") === null;
    });
    expect(outside, "the focus is behind the dialog").toBe(false);
  }
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(link).toBeFocused();
});

test("/ goes to the search, t to the time range, and letters that are typed stay letters", async ({ page }) => {
  await open(page, "/monitoring");
  await page.keyboard.press("t");
  await expect(page.getByRole("link", { name: "1 Hour" })).toBeFocused();
  await open(page, "/monitoring/refusals");
  await page.keyboard.press("/");
  const search = page.getByRole("searchbox");
  await expect(search).toBeFocused();
  await page.keyboard.type("g m ? / t");
  await expect(search).toHaveValue("g m ? / t");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page).toHaveURL(/\/monitoring\/refusals$/);
});

test("a dialog that an address opened gives the focus to the link that leads to it", async ({ page }) => {
  await open(page, "/monitoring/rate-limit");
  const link = page.getByRole("link", { name: "Increase qwen-flash" });
  await link.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await expect(dialog).toBeVisible();
  await expect(page.locator("html")).toHaveClass(/\balive\b/);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(link).toBeFocused();
  await expect(page).toHaveURL(/\/monitoring\/rate-limit$/);
});

test("the menu of a narrow screen opens and closes by keyboard", async ({ page, isMobile }) => {
  test.skip(!isMobile, "wide screens show it always");
  await open(page, "/monitoring");
  const menu = page.getByRole("button", { name: "Menu" });
  await menu.focus();
  await page.keyboard.press("Enter");
  const navigation = page.getByRole("navigation", { name: "Main" });
  await expect(navigation).toBeVisible();
  await expectSound(page, { html: false });
  await page.keyboard.press("Escape");
  await expect(navigation).toBeHidden();
  await expect(menu).toBeFocused();
});
