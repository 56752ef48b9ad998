import { expect, NOBODY, test } from "../support/test";

const NOWHERE = [
  "/nothing",
  "/settings",
  "/settings/nothing/at/all",
  "/settings/workspaces/0192f0c1-7a00-7000-8000-0123456789ab",
  "/settings/workspaces/%F0%9F%92%A5%3Cb%3E",
  "/monitoring/refusals/%E2%80%AE%3Cscript%3E",
  "/help",
  "/monitoring/rate-limit/more",
];

for (const address of NOWHERE) {
  test(`${address} is nowhere, and says so inside the frame`, async ({ page }) => {
    const answer = await page.goto(address);
    expect(answer!.status()).toBe(404);
    await expect(page.locator("h1")).toHaveCount(1);
    await expect(page.locator("nav#navigation")).toHaveCount(1);
    // The console tells of every answer that is no success; this one was asked for.
    await expect(page.getByRole("main").getByRole("link").first()).toBeVisible();
  });
}

test.describe("nobody signed in", () => {
  test.use({ storageState: NOBODY });

  test("what is nowhere is not told apart from what is somewhere", async ({ page }) => {
    for (const address of ["/nothing", "/settings/workspaces/x", "/monitoring/refusals/x"]) {
      await page.goto(address);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
    }
  });
});
