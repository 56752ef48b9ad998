import { expectSound } from "../support/sound";
import { expect, NOBODY, test } from "../support/test";

test("settings are checked at their fields, stored, and found in the audit log", async ({ page }) => {
  await page.goto("/settings/account");
  await expectSound(page);
  const days = page.getByLabel("Valid for, in days");
  await days.fill("0");
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(days).toHaveAccessibleDescription(/0 is not between 1 and 3650/);
  await expect(days).toHaveValue("0");
  await expectSound(page);

  await days.fill("14");
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByText("Settings stored")).toBeVisible();
  await expect(page.getByLabel("Valid for, in days")).toHaveValue("14");
  await page.goto("/settings/audit?kind=account");
  await expect(page.getByRole("row", { name: /set account/ }).first()).toContainText("30 → 14");

  await page.goto("/monitoring/rate-limit?increase=qwen-turbo");
  await expect(page.getByRole("dialog")).toContainText(/14 days/);
});

test("someone else saved meanwhile: both versions are shown", async ({ page, context }) => {
  await page.goto("/settings/account");
  const other = await context.newPage();
  await other.goto("/settings/account");
  await other.getByLabel("API keys of a workspace").fill("18");
  await other.getByRole("button", { name: "Save Changes" }).click();
  await expect(other.getByText("Settings stored")).toBeVisible();
  await other.close();

  await page.getByLabel("API keys of a workspace").fill("25");
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByText(/changed by someone else meanwhile/)).toBeVisible();
  const field = page.getByLabel("API keys of a workspace");
  await expect(field).toHaveValue("25");
  await expect(field).toHaveAccessibleDescription(/Stored now: 18/);
  await expectSound(page);
  await page.getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByText("Settings stored")).toBeVisible();
});

test.describe("the own sign-in", () => {
  test.use({ storageState: NOBODY });

  test("a password is changed, and signing out everywhere ends the session", async ({ page, sluice }) => {
    const email = "someone@example.com";
    sluice.run(["user", "create", "--email", email, "--role", "viewer", "--workspace", "search", "--password-stdin"], "first password");
    const signIn = async (password: string) => {
      await page.goto("/sign-in");
      await page.getByLabel("E-mail address").fill(email);
      await page.getByLabel("Password").fill(password);
      await page.getByRole("button", { name: "Sign in" }).click();
    };
    await signIn("first password");
    await page.goto("/settings/account");
    await expect(page.getByText("Read only: a viewer only reads")).toBeVisible();
    await expect(page.getByLabel("Valid for, in days")).toBeDisabled();
    await expectSound(page);

    await page.getByLabel("Present password").fill("a guess");
    await page.getByLabel("New password").fill("second password");
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(page.getByLabel("Present password")).toHaveAccessibleDescription(/this is not your password/);
    await page.getByLabel("Present password").fill("first password");
    await page.getByLabel("New password").fill("second password");
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(page.getByText("Password changed")).toBeVisible();

    await page.getByRole("button", { name: "Sign out everywhere" }).click();
    await expect(page).toHaveURL(/\/sign-in/);
    await expect(page.getByText("You are signed out on every device")).toBeVisible();
    await signIn("second password");
    await expect(page).toHaveURL(/\/monitoring$/);
  });
});
