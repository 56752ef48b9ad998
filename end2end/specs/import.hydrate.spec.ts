import { expect, test } from "../support/test";

test("a search hides what does not match, and what is chosen stays chosen", async ({ page }) => {
  await page.goto("/settings/models/import");
  const rows = page.getByRole("row").filter({ has: page.getByRole("checkbox", { disabled: false }) });
  const codes = await rows.getByRole("checkbox").evaluateAll((all) => all.map((it) => (it as HTMLInputElement).value));
  expect(codes.length).toBeGreaterThan(1);
  const [first, second] = codes;
  await page.getByRole("checkbox", { name: first, exact: true }).check();
  await page.getByLabel("Search").fill(second!);
  await expect(page.getByRole("checkbox", { name: first, exact: true })).toBeHidden();
  await page.getByRole("button", { name: "Select all results" }).click();
  await page.getByLabel("Search").fill("");
  await expect(page.getByRole("checkbox", { name: first, exact: true })).toBeChecked();
  await expect(page.getByRole("checkbox", { name: second, exact: true })).toBeChecked();
});
