import { expect, test } from "../support/test";

test("what was worked out says that it is of former limits as soon as others are typed", async ({ page }) => {
  await page.goto("/settings/workspaces");
  await page.getByRole("link", { name: "Edit search" }).click();
  await expect(page.locator("html.alive")).toBeAttached();
  const requests = page.getByRole("group", { name: "qwen-plus", exact: true }).getByLabel(/Times \/ min/);
  const ask = page.getByRole("button", { name: "What would this do?" });
  const shown = page.getByRole("heading", { name: /^What these limits would have refused/ });
  const former = page.getByText(/^The limits were changed since this was worked out/);
  await requests.fill("60");
  await expect(former).toBeHidden();
  await ask.click();
  await expect(shown).toBeVisible();
  await expect(former).toBeHidden();
  await requests.fill("61");
  await expect(former).toBeVisible();
  await ask.click();
  await expect(former).toBeHidden();
  await expect(shown).toBeVisible();
});
