import type { Page } from "@playwright/test";
import { expectSound, hasScript } from "../support/sound";
import { expect, test } from "../support/test";

const OPEN = "Increase Rate Limit Temporarily";

function limits(page: Page, model: string) {
  const table = page.getByRole("table").filter({ has: page.getByRole("columnheader", { name: "Upper limit" }) });
  return table.getByRole("row").filter({ has: page.getByRole("rowheader", { name: model }) });
}

function history(page: Page) {
  return page.getByRole("table").filter({ has: page.getByRole("columnheader", { name: "Application Time" }) });
}

async function ask(page: Page, model: string, tokens: string) {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Model").selectOption(model);
  await dialog.getByLabel("Token Rate Limit").fill(tokens);
  await dialog.getByRole("button", { name: "Save Changes" }).click();
}

test("an increase holds at once and is written into the history", async ({ page, sluice }) => {
  const key = await sluice.key("default");
  const before = await sluice.call(key, "qwen-plus");
  expect(before.headers.get("x-ratelimit-limit-tokens")).toBe("1000000");

  await page.goto("/monitoring/rate-limit");
  await page.getByRole("button", { name: OPEN }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toBeVisible();
  await expectSound(page);
  await dialog.getByLabel("Model").selectOption("qwen-plus");
  await expect(dialog).toContainText("Upper limit");
  await ask(page, "qwen-plus", "1500000");

  await expect(dialog).toBeHidden();
  await expect(limits(page, "qwen-plus")).toContainText("1,500,000");
  const first = history(page).getByRole("row").nth(1);
  await expect(first).toContainText("qwen-plus");
  await expect(first).toContainText("1,500,000");
  await expect(first).toContainText(/active/i);
  await expectSound(page);
  await expect
    .poll(async () => (await sluice.call(key, "qwen-plus")).headers.get("x-ratelimit-limit-tokens"))
    .toBe("1500000");
});

test("what cannot be is refused at the field, and nothing changes", async ({ page }) => {
  await page.goto("/monitoring/rate-limit");
  for (const [tokens, message] of [
    ["100000", /above|current/i],
    ["9000000", /upper limit/i],
    ["1e30", /1e30 is not a whole number/],
    ["-5", /-5 is below zero/],
  ] as const) {
    await page.goto("/monitoring/rate-limit?increase=qwen-turbo");
    await ask(page, "qwen-turbo", tokens);
    const field = page.getByRole("dialog").getByLabel("Token Rate Limit");
    await expect(field).toHaveAccessibleDescription(message);
    await expect(field).toHaveValue(tokens);
  }
  await page.goto("/monitoring/rate-limit");
  await expect(limits(page, "qwen-turbo")).not.toContainText("9,000,000");
  await expect(page.getByRole("cell", { name: "qwen-turbo", exact: true })).toHaveCount(0);
});

test("a model at its upper limit is not offered, its increase is renewed or ended, and the history stays", async ({ page }) => {
  await page.goto("/monitoring/rate-limit?increase=qwen-flash");
  await ask(page, "qwen-flash", "10000000");
  const row = limits(page, "qwen-flash");
  await expect(row).toContainText("10,000,000");
  await expect(row.getByRole("link", { name: "Renew qwen-flash" })).toBeVisible();
  await page.getByRole("button", { name: OPEN }).click();
  const dialog = page.getByRole("dialog");
  // Another spec may have changed the account's setting.
  const days = Number((await dialog.innerText()).match(/returns after (\d+) days/)![1]);
  await expect(dialog.getByLabel("Model").locator("option[value=qwen-flash]")).toHaveCount(0);
  await expect(dialog.getByLabel("Model").locator("option[value=qwen-image]")).toHaveCount(0);
  await dialog.getByRole("link", { name: "Cancel" }).click();

  const running = page.getByRole("row", { name: new RegExp(`increased · ${days - 1} days 23 h left`) });
  await expect(running.first()).toBeVisible();
  await expectSound(page);
  const before = await history(page).getByRole("row").count();
  await page.getByRole("button", { name: "End now qwen-flash" }).click();
  await expect(limits(page, "qwen-flash")).not.toContainText("Renew");
  const first = history(page).getByRole("row").nth(1);
  await expect(first).toContainText("qwen-flash");
  await expect(first).toContainText(/ended/i);
  expect(await history(page).getByRole("row").count()).toBe(before);
});

test("the dialog says what the choice and the number mean", async ({ page }) => {
  await page.goto("/monitoring/rate-limit?increase=qwen-turbo");
  const dialog = page.getByRole("dialog");
  const fact = (name: string) => dialog.locator(`dt:text-is("${name}") + dd`);
  await expect(fact("Current quota")).toHaveText("100,000");
  await expect(fact("Upper limit")).toHaveText("400,000");
  await expect(fact("Default")).toHaveText("100,000");
  await expect(fact("Tokens per second")).toHaveText("1,667");
  await expect(fact("Peak use, last 7 days")).toHaveText(/^[\d,]+$/);
  await expect(dialog).toContainText(/Holds until \d{4}-/);
  if (!hasScript()) return;
  await dialog.getByLabel("Token Rate Limit").fill("240000");
  await expect(fact("Tokens per second")).toHaveText("4,000");
  await dialog.getByLabel("Model").selectOption("qwen-plus");
  await expect(fact("Upper limit")).toHaveText("2,000,000");
});
