import { Installation } from "../support/installation";
import { expectSound } from "../support/sound";
import { expect, NOBODY, test } from "../support/test";
import { expectWhole } from "../support/whole";

test.use({ storageState: NOBODY });

test("the first owner is made with the token of the terminal, in either theme", async ({ page, context }) => {
  const empty = await Installation.start({ owner: false });
  try {
    const link = () => empty.printed().match(/http:\S+\/set-up\?token=\S+/)?.[0] ?? "";
    // It answers a moment before it has told.
    await expect.poll(link).not.toBe("");
    const address = link();
    for (const theme of ["dark", "light"]) {
      await context.addCookies([{ name: "theme", value: theme, url: empty.consoleUrl }]);
      await expectWhole(page, { name: "Set up", address, open: true }, address, theme);
      await expectSound(page);
    }
    await page.getByLabel("E-mail address").fill("first@example.com");
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Create owner" }).click();
    await expect(page.getByLabel("Password")).toHaveAccessibleDescription(/at least 8 characters/);
    await expect(page.getByLabel("E-mail address")).toHaveValue("first@example.com");
    await page.getByLabel("Password").fill("correct horse battery");
    await page.getByRole("button", { name: "Create owner" }).click();
    await expect(page).toHaveURL(/\/monitoring$/);
    await expect(page.getByText("Sluice is set up")).toBeVisible();
  } finally {
    // A live page would tell of the connection that breaks.
    await page.goto("about:blank");
    await empty.stop();
  }
});
