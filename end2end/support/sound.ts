import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { HtmlValidate, StaticConfigLoader } from "html-validate";

const validator = new HtmlValidate(
  new StaticConfigLoader({
    extends: ["html-validate:recommended"],
    rules: {
      // Taste, not correctness: how the server's renderer writes void elements, and how long a title is.
      "attribute-boolean-style": "off",
      "attribute-empty-style": "off",
      "doctype-style": "off",
      "long-title": "off",
      "no-trailing-whitespace": "off",
      "void-style": "off",
      // The markers that hydration looks for.
      "no-conditional-comment": "off",
    },
  }),
);

/** Whether pages of this project may run script. */
export function hasScript(): boolean {
  return test.info().project.use.javaScriptEnabled !== false;
}

/** What every page and dialog must be: accessible, valid as the server sent it, and no wider than the screen. */
export async function expectSound(page: Page, { html = true } = {}): Promise<void> {
  const width = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(width, "pixels of horizontal scrolling").toBeLessThanOrEqual(0);

  expect(await violations(page), "axe").toEqual([]);

  if (!html) return;
  const source = await (await page.request.get(page.url())).text();
  // `<!>` is how the renderer keeps two texts apart; browsers read an empty comment, this parser reads nothing at all.
  const report = await validator.validateString(source.replaceAll("<!>", ""));
  const messages = report.results.flatMap((it) => it.messages);
  expect(
    messages.map((it) => `${it.ruleId}: ${it.message} at ${it.selector}`),
    "html-validate",
  ).toEqual([]);
}

async function violations(page: Page): Promise<string[]> {
  if (hasScript()) return analyse(page);
  // axe is a script: where the page may run none, it looks at a copy that may.
  const context = await page.context().browser()!.newContext({
    javaScriptEnabled: true,
    viewport: page.viewportSize(),
    storageState: await page.context().storageState(),
  });
  try {
    const copy = await context.newPage();
    const html = (await page.content()).replace(/<script\b[\s\S]*?<\/script>/g, "");
    const body = html.replace(/<link\b[^>]*modulepreload[^>]*>/g, "");
    await copy.route(page.url(), (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body }));
    await copy.goto(page.url());
    return await analyse(copy);
  } finally {
    await context.close();
  }
}

async function analyse(page: Page): Promise<string[]> {
  const results = await new AxeBuilder({ page }).analyze();
  return results.violations.map((it) => `${it.id}: ${it.help}: ${it.nodes.map((node) => node.html).join(" ")}`);
}
