import type { Page } from "@playwright/test";
import { expectSound } from "../support/sound";
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
