import type { Page } from "@playwright/test";
import { OWNER } from "../support/installation";
import { expectSound, hasScript } from "../support/sound";
import { expect, test } from "../support/test";

async function edit(page: Page, workspace: string) {
  await page.goto("/settings/workspaces");
  await page.getByRole("link", { name: `Edit ${workspace}` }).click();
  await expect(page.getByRole("heading", { name: "Model Permission" })).toBeVisible();
  if (hasScript()) await expect(page.locator("html.alive")).toBeAttached();
}

function limit(page: Page, label: RegExp) {
  return page.getByRole("group", { name: "qwen-flash", exact: true }).getByLabel(label);
}

/** What a workspace is granted, as another page shows it. */
async function stored(page: Page, label: RegExp) {
  const other = await page.context().newPage();
  await edit(other, "search");
  const value = await limit(other, label).inputValue();
  await other.close();
  return value;
}

async function save(page: Page) {
  await page.getByRole("button", { name: "Save Changes" }).click();
}

test("someone else saved the workspace meanwhile: both versions are shown, and nothing is overwritten", async ({ page, context }) => {
  await edit(page, "search");
  const other = await context.newPage();
  await edit(other, "search");
  await limit(other, /Times/).fill("310");
  await save(other);
  await expect(other.getByText("Changes saved")).toBeVisible();
  await other.close();

  await limit(page, /Times/).fill("320");
  await page.getByRole("button", { name: "Apply" }).click();
  await expect(limit(page, /Times/)).toHaveValue("320");
  await save(page);
  await expect(page.getByText("Someone else saved this workspace meanwhile.")).toBeVisible();
  const versions = page.getByRole("group", { name: "Both versions" });
  await expect(versions.getByRole("row", { name: "qwen-flash" })).toContainText(/310.*320/);
  await expect(limit(page, /Times/)).toHaveValue("320");
  await expectSound(page, { html: false });
  expect(await stored(page, /Times/)).toBe("310");

  await save(page);
  await expect(page.getByText("Changes saved")).toBeVisible();
  expect(await stored(page, /Times/)).toBe("320");
});

test.describe("a session that ends while something is typed", () => {
  test.use({ expectedErrors: [/401/] });

  test("takes nothing with it", async ({ page, context }) => {
    await edit(page, "search");
    await limit(page, /Token/).fill("123,456");
    await context.clearCookies({ name: /^(?!theme)/ });
    await save(page);
    const signIn = async (where: Page) => {
      await where.getByLabel("E-mail address").fill(OWNER.email);
      await where.getByLabel("Password").fill(OWNER.password);
      await where.getByRole("button", { name: "Sign in" }).click();
    };
    if (hasScript()) {
      await expect(page.getByRole("alert").filter({ hasText: "You are signed out" })).toBeVisible();
      await expect(limit(page, /Token/)).toHaveValue("123,456");
      const other = await context.newPage();
      await other.goto("/sign-in");
      await signIn(other);
      await expect(other).toHaveURL(/\/monitoring$/);
      await other.close();
      await save(page);
    } else {
      await expect(page.getByRole("heading", { name: "Sign in to go on" })).toBeVisible();
      await page.getByLabel("E-mail address").fill(OWNER.email);
      await page.getByLabel("Password").fill("not the password");
      await page.getByRole("button", { name: "Sign in" }).click();
      await expect(page.getByRole("alert")).toContainText("the address or the password is wrong");
      await expect(page.getByRole("heading", { name: "Sign in to go on" })).toBeVisible();
      await expectSound(page, { html: false });
      await signIn(page);
    }
    await expect(page.getByText("Changes saved")).toBeVisible();
    await expect(limit(page, /Token/)).toHaveValue("123,456");
  });
});

test("renaming keeps limits that are not saved, and saving keeps a name that is not stored", async ({ page }) => {
  test.skip(!hasScript(), "two forms are two forms where no script sends both");
  await edit(page, "search");
  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.type());
    return dialog.accept();
  });
  await limit(page, /Times/).fill("77");
  await page.getByLabel("Name", { exact: true }).fill("searching");
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page.getByText("Name stored")).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("searching");
  await expect(limit(page, /Times/)).toHaveValue("77");
  await expect(page.getByText("1 unsaved change")).toBeVisible();

  await page.getByLabel("Name", { exact: true }).fill("search");
  await save(page);
  await expect(page.getByText("Changes saved")).toBeVisible();
  await expect(page.getByText("No unsaved changes")).toBeVisible();
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("search");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("searching");
  expect(asked, "nothing was about to be lost").toEqual([]);

  // A name that is typed alone counts as unsaved, too.
  await page.getByRole("link", { name: "Workspaces" }).first().click();
  await expect(page).toHaveURL(/\/settings\/workspaces$/);
  expect(asked).toEqual(["beforeunload"]);
  await edit(page, "searching");
  await page.getByLabel("Name", { exact: true }).fill("search");
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page.getByText("Name stored")).toBeVisible();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("search");
});
