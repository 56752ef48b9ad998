import type { Page } from "@playwright/test";
import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

async function edit(page: Page, workspace: string) {
  await page.goto("/settings/workspaces");
  await page.getByRole("link", { name: `Edit ${workspace}` }).click();
  await expect(page.getByRole("heading", { name: "Model Permission" })).toBeVisible();
}

function granted(page: Page, model: string) {
  return page.getByRole("group", { name: model, exact: true });
}

test("the list names every workspace and says why the default one has no Edit", async ({ page }) => {
  await page.goto("/settings/workspaces");
  for (const name of ["default", "search", "support"]) await expect(page.getByRole("row", { name }).first()).toBeVisible();
  await expectSound(page);
});

test("a model is granted with limits, and the next calls obey them", async ({ page, sluice, searchKey }) => {
  expect((await sluice.call(searchKey, "qwen-turbo")).status).toBe(403);

  await edit(page, "search");
  await expectSound(page);
  await page.getByRole("button", { name: "All Models" }).click();
  const picker = page.getByRole("dialog");
  await picker.getByRole("checkbox", { name: "qwen-turbo" }).check();
  await expectSound(page);
  await picker.getByRole("button", { name: "Add models" }).click();
  await expect(picker).toBeHidden();

  const row = granted(page, "qwen-turbo");
  await row.getByLabel(/Times \/ min/).fill("50");
  await row.getByLabel(/Token \/ min/).fill("40,000");
  await page.getByRole("button", { name: "Apply" }).click();
  expect((await sluice.call(searchKey, "qwen-turbo")).status, "nothing is stored before Save Changes").toBe(403);
  await page.getByRole("button", { name: "Save Changes" }).click();

  await expect.poll(async () => (await sluice.call(searchKey, "qwen-turbo")).status).toBe(200);
  const answer = await sluice.call(searchKey, "qwen-turbo", { max_tokens: 10 });
  expect(answer.headers.get("x-ratelimit-limit-requests")).toBe("50");
  expect(answer.headers.get("x-ratelimit-limit-tokens")).toBe("40000");
  await edit(page, "search");
  await expect(granted(page, "qwen-turbo").getByLabel(/Times \/ min/)).toHaveValue("50");
});

test("before saving, the editor shows what the limits would have refused", async ({ page, sluice, searchKey }) => {
  for (let n = 0; n < 3; n += 1) await sluice.call(searchKey, "qwen-plus", { max_tokens: 5 });
  await edit(page, "search");
  const row = granted(page, "qwen-plus");
  await row.getByLabel(/Times \/ min/).fill("0");
  const shown = page.getByRole("group", { name: "What would be refused" });
  await expect
    .poll(async () => {
      await page.getByRole("button", { name: "What would this do?" }).click();
      await expect(shown).toBeVisible();
      return await shown.getByRole("row", { name: /^qwen-plus/ }).textContent();
    })
    .toMatch(/\(100\.0%\)\d+ by requests.*the call log/);
  await expect(page.getByText("The call log holds every call")).toBeVisible();
  await expectSound(page);
  await expect(granted(page, "qwen-plus").getByLabel(/Times \/ min/)).toHaveValue("0");

  await granted(page, "qwen-plus").getByLabel(/Times \/ min/).fill("900");
  await page.getByRole("button", { name: "What would this do?" }).click();
  const field = granted(page, "qwen-plus").getByLabel(/Times \/ min/);
  await expect(field).toHaveAccessibleDescription(/900 is above the account limit of 600 requests per minute/);
  expect((await sluice.call(searchKey, "qwen-plus")).status, "nothing was stored").toBe(200);
});

test("a limit above the account's is refused at its field, and nothing of the form is stored", async ({ page }) => {
  await edit(page, "support");
  const row = granted(page, "qwen-plus");
  await row.getByLabel(/Times \/ min/).fill("900");
  await row.getByLabel(/Token \/ min/).fill("5000");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("button", { name: "Save Changes" }).click();
  const field = granted(page, "qwen-plus").getByLabel(/Times \/ min/);
  await expect(field).toHaveAccessibleDescription(/900 is above the account limit of 600 requests per minute/);
  await expect(field).toHaveValue("900");
  await expect(granted(page, "qwen-plus").getByLabel(/Token \/ min/)).toHaveValue(/^5,?000$/);
  await expectSound(page);

  await edit(page, "support");
  await expect(granted(page, "qwen-plus").getByLabel(/Times \/ min/)).toHaveValue("0");
  await expect(granted(page, "qwen-plus").getByLabel(/Token \/ min/)).toHaveValue("");
});
