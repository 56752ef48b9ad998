import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

test("a provider is tested with a real request", async ({ page }) => {
  await page.goto("/settings/providers");
  await expectSound(page);
  await page.getByRole("button", { name: "Test dashscope" }).click();
  const result = page.getByRole("region", { name: "Test of dashscope" });
  await expect(result).toContainText(/answered in \d+ ms and lists \d+ models/);
  await expectSound(page);
});

test("what fails about a provider is said in words", async ({ page }) => {
  await page.goto("/settings/providers?create=1");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("nobody");
  await dialog.getByLabel("OpenAI-compatible base URL").fill("http://127.0.0.1:9/v1");
  await dialog.getByRole("button", { name: "Create provider" }).click();
  await expect(page.getByText("Provider stored")).toBeVisible();
  await page.getByRole("button", { name: "Test nobody" }).click();
  await expect(page.getByRole("region", { name: "Test of nobody" })).toContainText(/no answer: .*refused/);

  await page.getByRole("link", { name: "Import models nobody" }).click();
  await expect(page.getByRole("alert")).toContainText("nobody did not list its models: no answer:");
  await expectSound(page);
});

test("models are imported: chosen, with limits, and known ones marked", async ({ page }) => {
  await page.goto("/settings/models");
  await page.getByRole("link", { name: "Import models" }).click();
  await page.getByLabel("Provider", { exact: true }).selectOption("dashscope");
  await page.getByRole("button", { name: "Ask it" }).click({ timeout: 1_000 }).catch(() => undefined);
  await expect(page.getByRole("row", { name: /^qwen-plus known already/ })).toBeVisible();
  await expect(page.getByRole("checkbox", { name: "qwen-plus", exact: true })).toBeDisabled();
  await expectSound(page);

  const free = page.getByRole("checkbox", { disabled: false });
  const code = (await free.first().getAttribute("value"))!;
  await free.first().check();
  await page.getByLabel("RPM", { exact: true }).fill("0");
  await page.getByRole("button", { name: "Import chosen models" }).click();
  await expect(page.getByLabel("RPM", { exact: true })).toHaveAccessibleDescription(/an account's limit must be at least 1/);
  await expect(page.getByRole("checkbox", { name: code, exact: true })).toBeChecked();
  await expectSound(page);

  await page.getByLabel("RPM", { exact: true }).fill("60");
  await page.getByLabel(`TPM of ${code}`).fill("1e30");
  await page.getByRole("button", { name: "Import chosen models" }).click();
  await expect(page.getByLabel(`TPM of ${code}`)).toHaveAccessibleDescription(/1e30 is not a whole number/);
  await page.getByLabel(`TPM of ${code}`).fill("70,000");
  await page.getByRole("button", { name: "Import chosen models" }).click();
  await expect(page.getByText("1 model imported")).toBeVisible();
  await expect(page.getByRole("row", { name: new RegExp(`^${code} .* 70,000 `) })).toBeVisible();
});
