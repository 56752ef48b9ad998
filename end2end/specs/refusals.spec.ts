import type { Page } from "@playwright/test";
import type { Installation } from "../support/installation";
import { explained, refusedCall } from "../support/places";
import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

/** Calls of one key until its second is full: search may start two calls of qwen-plus a second. */
async function fillSecond(sluice: Installation, key: string): Promise<string> {
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(Array.from({ length: 4 }, () => sluice.call(key, "qwen-plus")));
    const refused = answers.find((it) => it.status === 429 && it.headers.get("x-sluice-window") === "1");
    if (refused) return refused.headers.get("x-request-id")!;
  }
  throw new Error("four calls at once were never too many");
}

function section(page: Page, name: RegExp) {
  return page.getByRole("region", { name });
}

test("the id of a 429 leads to why, to who used the limit, and to the ways out", async ({ page, sluice, searchKey }) => {
  const id = await fillSecond(sluice, searchKey);
  await page.goto(await explained(page, id));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Why was this refused?");
  const what = section(page, /What happened/);
  await expect(what).toContainText(/Workspace search has used 2 of 2 requests in 1 s for model qwen-plus; retry in \d\.\d{3} s\./);
  await expect(what).toContainText(id);
  await expect(what).toContainText("Workspace RPS");

  const own = section(page, /Who used it/).getByRole("row").nth(1);
  await expect(own).toContainText("search");
  await expect(own).toContainText("this call's");
  await expect(own.getByRole("cell").nth(2)).toHaveText("2");

  const ways = section(page, /Ways out/);
  for (const way of ["Raise the workspace's limit", "Wait", "Fall back"]) {
    await expect(ways.getByRole("heading", { name: way })).toBeVisible();
  }
  await expect(ways).toContainText("X-DashScope-Wait-Timeout: 1");
  await expectSound(page);
  await ways.getByRole("link", { name: "Edit the workspace" }).click();
  await expect(page.getByRole("heading", { name: "Model Permission" })).toBeVisible();
});

test("a limit of 0 is explained without pretending that waiting helps", async ({ page, sluice }) => {
  await page.goto(await explained(page, await refusedCall(sluice)));
  await expect(section(page, /What happened/)).toContainText(
    "Workspace support may use 0 requests in 60 s for model qwen-plus; no call is admitted.",
  );
  await expect(section(page, /Who used it/)).toHaveCount(0);
  await expect(section(page, /Ways out/).getByRole("heading", { name: "Wait" })).toHaveCount(0);
});

test("refusals are listed, filtered by the address, and found by what was pasted", async ({ page, sluice, searchKey }) => {
  const id = await fillSecond(sluice, searchKey);
  await explained(page, id);
  await page.goto("/monitoring");
  await page.getByRole("navigation", { name: "Monitoring" }).getByRole("link", { name: "Refusals" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Refusals");
  await expect(page.getByRole("link", { name: new RegExp(id) })).toBeVisible();

  await page.goto("/monitoring/refusals?workspace=support&scope=workspace");
  await expect(page.getByLabel("Workspace", { exact: true })).toHaveValue(/.+/);
  await expect(page.getByRole("link", { name: new RegExp(id) })).toHaveCount(0);
  await page.goto("/monitoring/refusals?model=qwen-image");
  await expect(page.getByText("No refusal matches")).toBeVisible();
  await page.getByRole("link", { name: "Clear the filters" }).click();

  await page.getByLabel("Request id").fill(`{"error":{"code":"limit_requests"},"request_id":"${id}"}`);
  await page.getByRole("button", { name: "Explain" }).click();
  await expect(page).toHaveURL(new RegExp(`/monitoring/refusals/${id}$`));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Why was this refused?");
});

test("what is no refusal says why there is none, inside the frame", async ({ page, sluice }) => {
  const key = await sluice.key("default");
  const answered = (await sluice.call(key, "qwen-turbo")).headers.get("x-request-id")!;
  for (const [id, words] of [
    [answered, /No refusal has this id|a moment ago/],
    ["nonsense", /No refusal has this id/],
    ["0192f0c1-7a00-7000-8000-0123456789ab", /older than the call log|No refusal has this id/],
  ] as const) {
    const answer = await page.goto(`/monitoring/refusals/${id}`);
    expect(answer!.status()).toBe(404);
    await expect(page.getByRole("main")).toContainText(words);
    await expect(page.locator("nav#navigation")).toHaveCount(1);
  }
});
