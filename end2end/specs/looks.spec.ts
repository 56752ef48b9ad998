import type { Page } from "@playwright/test";
import { expectSound, hasScript } from "../support/sound";
import { expect, test } from "../support/test";

const ground = (page: Page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

test("without a choice the system's theme holds", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/monitoring");
  const light = await ground(page);
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await ground(page);
  expect(dark).not.toBe(light);
  await expect(page.locator("html")).not.toHaveAttribute("data-theme");
});

test("a chosen theme is in the first bytes of every later page, so that nothing flashes", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto("/monitoring/rate-limit");
  if (hasScript()) await expect(page.locator("html")).toHaveClass(/\balive\b/);
  const before = await ground(page);
  await page.getByRole("button", { name: "Switch to dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect(page).toHaveURL(/\/monitoring\/rate-limit$/);
  const after = await ground(page);
  expect(after).not.toBe(before);
  const source = await (await page.request.get("/help/rate-limits")).text();
  expect(source).toMatch(/^<!DOCTYPE html>\s*<html[^>]* data-theme="dark"/);
});

test("the first press changes what is seen, also on a dark system, and the next one leads back", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/help/rate-limits");
  if (hasScript()) await expect(page.locator("html")).toHaveClass(/\balive\b/);
  const dark = await ground(page);
  const [toLight, toDark] = ["light", "dark"].map((it) => page.getByRole("button", { name: `Switch to ${it}` }));
  await expect(toDark).toBeHidden();
  await toLight.click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  expect(await ground(page)).not.toBe(dark);
  await expect(toLight).toBeHidden();
  if (hasScript()) await expect(toDark).toBeFocused();
  await toDark.click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  expect(await ground(page)).toBe(dark);
});

test("forced colours leave nothing invisible", async ({ page }) => {
  await page.emulateMedia({ forcedColors: "active" });
  for (const address of ["/monitoring", "/monitoring/rate-limit", "/settings/workspaces"]) {
    await page.goto(address);
    await expectSound(page, { html: false });
    const borders = await page.locator(".button:visible").evaluateAll((all) => all.map((it) => getComputedStyle(it).borderTopWidth));
    expect(borders.every((it) => it !== "0px"), "buttons have an edge").toBe(true);
  }
});

for (const chosen of [undefined, "dark"]) {
  test(`print holds the content alone, dark on light${chosen ? ", whatever was chosen for the screen" : ""}`, async ({ page, context, sluice }) => {
    if (chosen) await context.addCookies([{ name: "theme", value: chosen, url: sluice.consoleUrl }]);
    await page.emulateMedia({ colorScheme: "dark", media: "print" });
    await page.goto("/monitoring/rate-limit");
    await expect(page.getByRole("banner")).toBeHidden();
    await expect(page.locator("nav#navigation")).toBeHidden();
    await expect(page.getByRole("table").first()).toBeVisible();
    const brightness = await page.evaluate(() => {
      const channels = getComputedStyle(document.body).color.match(/[\d.]+/g)!.slice(0, 3).map(Number);
      return channels.reduce((sum, it) => sum + it, 0) / 3;
    });
    expect(brightness, "text").toBeLessThan(90);
  });
}

test("reduced motion has no animation and no transition", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.goto("/monitoring");
  const moving = await page.evaluate(() =>
    [...document.querySelectorAll("*")]
      .filter((it) => {
        const { animationName, transitionDuration } = getComputedStyle(it);
        return animationName !== "none" || transitionDuration.split(", ").some((it) => Number.parseFloat(it) > 0);
      })
      .map((it) => it.outerHTML.slice(0, 80)),
  );
  expect(moving).toEqual([]);
});
