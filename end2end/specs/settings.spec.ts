import { expectSound } from "../support/sound";
import { expect, test } from "../support/test";

test("a workspace is made, renamed, and archived; its figures stay", async ({ page }) => {
  await page.goto("/settings/workspaces?create=1");
  await expectSound(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("x".repeat(31));
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  await expect(page.getByRole("dialog").getByLabel("Name")).toHaveAccessibleDescription(/31 characters are more than the 30 allowed/);
  await expect(page.getByRole("dialog").getByLabel("Name")).toHaveValue("x".repeat(31));
  await page.getByRole("dialog").getByLabel("Name").fill("évals 🙂 <b>");
  await page.getByRole("dialog").getByRole("button", { name: "Create workspace" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("évals 🙂 <b>");
  await expectSound(page);

  await page.getByLabel("Name", { exact: true }).fill("evals");
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("evals");

  await page.getByRole("link", { name: "Archive evals" }).click();
  await expectSound(page);
  await page.getByRole("button", { name: "Archive workspace" }).click();
  await expect(page.getByText("Workspace archived")).toBeVisible();
  const archived = page.getByRole("region", { name: "Archived" });
  await expect(archived).toContainText("evals");
  await expectSound(page);
});

test("workspaces are compared for one model, and overcommitment is visible", async ({ page, sluice }) => {
  await page.goto("/settings/workspaces?model=qwen-plus");
  const table = page.getByRole("group", { name: "Limits of qwen-plus" });
  await expect(table.getByRole("row", { name: /^search 100/ })).toBeVisible();
  await expect(table.getByRole("row", { name: /^The account 600/ })).toBeVisible();
  await expect(table.getByText("overcommitted")).toBeHidden();
  await expectSound(page);

  sluice.apply('[[workspace]]\nname = "bulk"\nmodels = [ { code = "qwen-plus", rpm = 550 } ]\n');
  await page.reload();
  await expect(table.getByRole("row", { name: /^Own limits together/ })).toContainText("overcommitted");
  await expect(page.getByText("One model is overcommitted")).toBeVisible();
  await expectSound(page);
});

test("the default workspace says why it cannot be edited", async ({ page }) => {
  await page.goto("/settings/workspaces");
  await page.getByRole("link", { name: "Edit default" }).click();
  await expect(page.getByText("These cannot be edited here; its name can.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Save Changes" })).toHaveCount(0);
  await expectSound(page);
});

test("a key is made, changed, rotated and revoked", async ({ page }) => {
  await page.goto("/settings/keys?create=1");
  await expectSound(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("nightly");
  await dialog.getByLabel("Workspace").selectOption("search");
  await dialog.getByLabel("Error dialect").selectOption("openai");
  await dialog.getByRole("button", { name: "Create key" }).click();
  await expect(page.getByRole("region", { name: "Your new key" })).toBeVisible();
  await expectSound(page);
  const secret = await page.locator(".secret").textContent();

  const row = page.getByRole("row", { name: /^nightly/ });
  await page.getByRole("link", { name: "Edit nightly" }).click();
  await expect(page.getByRole("region", { name: "Your new key" })).toHaveCount(0);
  await expectSound(page);
  await page.getByRole("dialog").getByLabel("Expires").fill("2020-01-01");
  await page.getByRole("dialog").getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByRole("dialog").getByLabel("Expires")).toHaveAccessibleDescription(/must lie in the future/);
  await page.getByRole("dialog").getByLabel("Expires").fill("2099-01-31");
  await page.getByRole("dialog").getByLabel("Name").fill("weekly");
  await page.getByRole("dialog").getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByText("Key stored")).toBeVisible();
  await expect(row).toHaveCount(0);

  await page.getByRole("link", { name: "Rotate weekly" }).click();
  await page.getByRole("button", { name: "Rotate key" }).click();
  await expect(page.getByRole("region", { name: "Your new key" })).toBeVisible();
  expect(await page.locator(".secret").textContent()).not.toBe(secret);
  await page.getByRole("link", { name: "Revoke weekly" }).first().click();
  await expectSound(page);
  await page.getByRole("button", { name: "Revoke key" }).click();
  await expect(page.getByText("Key revoked")).toBeVisible();
});

test("a member is invited by link, gets another role, and is removed; the last owner stays", async ({ page }) => {
  await page.goto("/settings/members?create=1");
  await expectSound(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail address").fill("no address");
  await dialog.getByRole("button", { name: "Make invitation" }).click();
  await expect(page.getByRole("dialog").getByLabel("E-mail address")).toHaveAccessibleDescription(/this is no e-mail address/);
  await page.getByRole("dialog").getByLabel("E-mail address").fill("guest@example.com");
  await page.getByRole("dialog").getByLabel("Role").selectOption("admin");
  await page.getByRole("dialog").getByRole("button", { name: "Make invitation" }).click();
  await expect(page.getByRole("region", { name: "Invitation" })).toContainText("/invitation?token=");
  await expectSound(page);

  await page.getByRole("link", { name: "Role guest@example.com" }).click();
  await page.getByRole("dialog").getByLabel("Role").selectOption("viewer");
  await page.getByRole("dialog").getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByRole("dialog").getByLabel("Workspace")).toHaveAccessibleDescription(/a workspace is needed for this role/);
  await page.getByRole("dialog").getByLabel("Workspace").selectOption("search");
  await page.getByRole("dialog").getByRole("button", { name: "Save Changes" }).click();
  await expect(page.getByRole("row", { name: /^guest@example.com viewer search/ })).toBeVisible();
  await page.getByRole("link", { name: "Remove guest@example.com" }).click();
  await page.getByRole("button", { name: "Remove member" }).click();
  await expect(page.getByRole("row", { name: /^guest@example.com/ })).toHaveCount(0);

  const owner = page.getByRole("row", { name: /^owner@example.com/ });
  await expect(owner.getByRole("button", { name: /Remove \(the last owner stays one/ })).toBeDisabled();
  await expectSound(page);
});

test("the audit log is filtered by day and name, and exported as it is filtered", async ({ page, sluice }) => {
  sluice.apply('[[workspace]]\nname = "audited"\nmodels = [ { code = "qwen-turbo", rpm = 7 } ]\n');
  await page.goto("/settings/audit");
  await expectSound(page);
  await page.getByLabel("By whom").fill("COMMAND");
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.getByRole("row", { name: /audited/ }).first()).toBeVisible();
  const address = (await page.getByRole("link", { name: "CSV" }).getAttribute("href"))!;
  const csv = await (await page.request.get(address)).text();
  expect(csv.split("\r\n")[0]).toBe("When,Who,Action,Kind,Which,Before,After,Request");
  expect(csv).toContain("audited");
  const who = csv.trim().split("\r\n").slice(1).map((line) => line.split(",")[1]);
  expect(new Set(who)).toEqual(new Set(["command line"]));

  await page.getByLabel("To (UTC)").fill("2020-01-01");
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.getByText("No event matches")).toBeVisible();
  await expectSound(page);
  await page.goto("/settings/audit?from=soon");
  await expect(page.getByRole("alert")).toHaveText(/soon is no date such as 2027-01-31/);
});

test("help speaks of this account's models, limits and address", async ({ page, sluice }) => {
  await page.goto("/help/rate-limits");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("How limits work");
  await expect(page.getByRole("row", { name: /^qwen-turbo 240 4 100,000 1,667/ })).toBeVisible();
  await expect(page.getByText(`${sluice.gatewayUrl}/compatible-mode/v1`).first()).toBeVisible();
  for (const message of ["Requests rate limit exceeded", "Allocated quota exceeded", "Request rate increased too quickly"]) {
    await expect(page.getByText(message)).toBeVisible();
  }
  await expectSound(page);
});

test("unknown pages and ids are a 404 inside the frame", async ({ page }) => {
  for (const path of ["/settings/nothing", "/settings/workspaces/none", "/settings/models/import?provider=none"]) {
    const answer = await page.request.get(path);
    expect(answer.status(), path).toBe(404);
    expect(await answer.text()).toContain('aria-label="Main"');
  }
});
