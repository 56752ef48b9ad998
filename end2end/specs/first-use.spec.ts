import { hide } from "../support/hidden";
import { expectSound, hasScript } from "../support/sound";
import { expect, NOBODY, test } from "../support/test";

test.use({ storageState: NOBODY });

test("an empty account is led to its first call, and shows it", async ({ page, sluice }, info) => {
  const account = `new ${info.project.name}`;
  const owner = `first-${info.project.name}@example.com`;
  sluice.run(["account", "create", "--name", account]);
  sluice.run(["user", "create", "--account", account, "--email", owner, "--role", "owner", "--password-stdin"], "correct horse battery");
  await page.goto("/sign-in");
  await page.getByLabel("E-mail address").fill(owner);
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "No call has come through yet" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Connect a provider" })).toHaveAttribute("href", /providers/);
  await expect(page.getByRole("button", { name: "Make a key" })).toHaveCount(0);
  await expectSound(page);

  sluice.applyTo(account);
  await page.goto("/monitoring");
  await expect(page.getByRole("listitem").filter({ hasText: "Import models" })).toContainText("Done");
  await page.getByRole("button", { name: "Make a key" }).click();
  const command = page.locator("pre", { hasText: "curl" });
  await expect(command).toContainText(`${sluice.gatewayUrl}/v1/chat/completions`);
  await expect(command).not.toContainText("$SLUICE_API_KEY");
  const key = (await command.innerText()).match(/Bearer ([^"]+)"/)![1];
  const model = (await command.innerText()).match(/"model": "([^"]+)"/)![1];
  await expectSound(page);

  // The call comes while nobody looks.
  if (hasScript()) {
    await expect(page.locator("html.alive")).toBeAttached();
    await hide(page, true);
  }
  await expect.poll(async () => (await sluice.call(key, model)).status).toBe(200);
  if (hasScript()) {
    await expect.poll(async () => (await page.request.get("/monitoring")).text()).not.toContain("No call has come through yet");
    await hide(page, false);
    await expect(page.getByRole("heading", { name: /^Models/ })).toBeVisible();
  } else {
    await expect(async () => {
      await page.goto("/monitoring");
      await expect(page.getByRole("heading", { name: /^Models/ })).toBeVisible({ timeout: 500 });
    }).toPass();
  }
  await expect(page.getByRole("rowheader", { name: model }).first()).toBeVisible();
});
