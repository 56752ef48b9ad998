import { OWNER } from "../support/installation";
import { expectSound } from "../support/sound";
import { expect, NOBODY, test } from "../support/test";

test.use({ storageState: NOBODY });

test("who is not signed in is asked to, and arrives where they wanted to go", async ({ page }) => {
  await page.goto("/monitoring/rate-limit");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sign in");
  await expectSound(page);
  await page.getByLabel("E-mail address").fill(OWNER.email);
  await page.getByLabel("Password").fill(OWNER.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).toHaveURL(/\/monitoring\/rate-limit$/);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Rate Limit");
});

test("a wrong password is refused without saying which part was wrong", async ({ page }) => {
  for (const email of [OWNER.email, "nobody@example.com"]) {
    await page.goto("/sign-in");
    await page.getByLabel("E-mail address").fill(email);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText("the address or the password is wrong");
    await expect(page.getByLabel("E-mail address")).toHaveValue(email);
    await expect(page.getByLabel("Password")).toHaveValue("");
  }
});
