import { expect, type Page } from "@playwright/test";
import type { Place } from "./places";
import { hasScript } from "./sound";

/** Goes to a page or dialog: it is of one piece, in its theme, and nothing moves while it loads. */
export async function expectWhole(page: Page, place: Place, address: string, theme: string) {
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
