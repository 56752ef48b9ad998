import type { Page } from "@playwright/test";
import { PLACES, type Place } from "../support/places";
import { expectSound, hasScript } from "../support/sound";
import { expect, NOBODY, test } from "../support/test";

/** Every page and dialog with an address, in both themes: accessible, valid, of one piece, and nothing moves while it loads. */
for (const theme of ["light", "dark"] as const) {
  for (const open of [false, true]) {
    test.describe(`${theme}${open ? ", nobody signed in" : ""}`, () => {
      test.use({ colorScheme: theme });
      if (open) test.use({ storageState: NOBODY });
      for (const place of PLACES.filter((it) => (it.open ?? false) === open)) {
        test(place.name, async ({ page, context, sluice }, info) => {
          // What is told apart by width alone is not told apart by theme.
          test.skip(theme === "dark" && info.project.name === "mobile");
          const address = typeof place.address === "string" ? place.address : await place.address(page, sluice);
          await context.addCookies([{ name: "theme", value: theme, url: sluice.consoleUrl }]);
          await expectWhole(page, place, address, theme);
          await expectSound(page, { html: theme === "light" });
        });
      }
    });
  }
}

async function expectWhole(page: Page, place: Place, address: string, theme: string) {
  const answer = (await page.goto(address))!;
  expect(answer.status()).toBe(place.status ?? 200);
  await expect(page.locator("html")).toHaveAttribute("data-theme", theme);
  await expect(page.getByRole("main")).toHaveCount(1);
  await expect(page.locator("h1")).toHaveCount(1);
  await expect(page).toHaveTitle(/ · Sluice$/);
  if (!place.open) {
    await expect(page.getByRole("banner")).toHaveCount(1);
    // A modal dialog hides what lies behind it.
    await expect(page.locator("nav#navigation")).toHaveCount(1);
  }
  if (hasScript()) {
    await expect(page.locator("html")).toHaveClass(/\balive\b/);
    expect(await shifts(page), "layout shift").toEqual([]);
  }
}

/** What has moved since the page began to load, without anybody's doing. */
function shifts(page: Page): Promise<string[]> {
  return page.evaluate(
    () =>
      new Promise<string[]>((resolve) => {
        type Shift = PerformanceEntry & { value: number; hadRecentInput: boolean; sources: { node?: Node; previousRect: DOMRect; currentRect: DOMRect }[] };
        const seen: string[] = [];
        new PerformanceObserver((list) => {
          for (const it of list.getEntries() as Shift[]) {
            const at = ({ x, y, width, height }: DOMRect) => [x, y, width, height].map(Math.round).join(",");
            const nodes = it.sources.map(
              ({ node, previousRect, currentRect }) =>
                `${(node as Element)?.outerHTML?.slice(0, 120)} (${at(previousRect)} -> ${at(currentRect)})`,
            );
            if (!it.hadRecentInput) seen.push(`${it.value} of ${nodes.join(" ")}`);
          }
        }).observe({ type: "layout-shift", buffered: true });
        // Entries are handed over in a task of their own, after the frame in which they were made.
        requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => resolve(seen), 0)));
      }),
  );
}
