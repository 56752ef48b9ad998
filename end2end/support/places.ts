import type { Page } from "@playwright/test";
import type { Installation } from "./installation";

/** A page, or a dialog that an address opens. */
export interface Place {
  name: string;
  address: string | ((page: Page, sluice: Installation) => Promise<string>);
  /** Shown to who is not signed in. */
  open?: boolean;
  /** What it answers when it is not 200. */
  status?: number;
}

/** A call that a limit refuses; its id. */
export async function refusedCall(sluice: Installation): Promise<string> {
  const key = await sluice.key("support");
  const answer = await sluice.call(key, "qwen-plus");
  if (answer.status !== 429) throw new Error(`a workspace that may call nothing was answered with ${answer.status}`);
  return answer.headers.get("x-request-id")!;
}

/** A dialog that a link in a row of a list opens. */
function dialog(list: string, link: string | RegExp) {
  return async (page: Page): Promise<string> => {
    await page.goto(list);
    return (await page.getByRole("link", { name: link }).first().getAttribute("href"))!;
  };
}

/** A dialog of a key's row, in a list that has one. */
function ofKey(link: string) {
  return async (page: Page, sluice: Installation): Promise<string> => {
    await sluice.key("search");
    return dialog("/settings/keys", new RegExp(`^${link} `))(page);
  };
}

/** A dialog of a member's row, in a list that has one besides the owner. */
function ofMember(link: string) {
  const email = "places@example.com";
  return async (page: Page, sluice: Installation): Promise<string> => {
    await page.goto("/settings/members");
    if ((await page.getByRole("row", { name: email }).count()) === 0) {
      const role = ["--role", "viewer", "--workspace", "search"];
      sluice.run(["user", "create", "--email", email, ...role, "--password-stdin"], "correct horse battery");
    }
    return dialog("/settings/members", `${link} ${email}`)(page);
  };
}

/** Monitoring of an account that never had a call, for an owner of its own. */
async function firstUse(page: Page, sluice: Installation): Promise<string> {
  const account = `unused ${Math.random()}`;
  const email = `${account.replace(/\W/g, "-")}@example.com`;
  sluice.run(["account", "create", "--name", account]);
  const owner = ["--account", account, "--email", email, "--role", "owner"];
  sluice.run(["user", "create", ...owner, "--password-stdin"], "correct horse battery");
  sluice.applyTo(account);
  const form = { email, password: "correct horse battery", next: "" };
  const answer = await page.request.post(`${sluice.consoleUrl}/api/sign-in`, { form });
  if (!answer.ok()) throw new Error(`${email} was not signed in: ${answer.status()}`);
  return "/monitoring";
}

async function editor(page: Page): Promise<string> {
  await page.goto("/settings/workspaces");
  return (await page.getByRole("link", { name: "Edit search" }).getAttribute("href"))!;
}

/** Waits until the log holds the call, for it is written behind the answer. */
export async function explained(page: Page, id: string): Promise<string> {
  const address = `/monitoring/refusals/${id}`;
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await page.request.get(address)).ok()) return address;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${address} is not there`);
}

const settings = ["workspaces", "models", "providers", "keys", "members", "audit", "account"];

/** Every page and every dialog with an address. */
export const PLACES: Place[] = [
  { name: "Monitoring", address: "/monitoring" },
  { name: "Monitoring of a range without calls", address: "/monitoring?from=2020-01-01T00:00&to=2020-01-02T00:00" },
  { name: "Rate Limit", address: "/monitoring/rate-limit" },
  { name: "the increase dialog", address: "/monitoring/rate-limit?increase=qwen-plus" },
  { name: "Refusals", address: "/monitoring/refusals" },
  { name: "Refusals without a match", address: "/monitoring/refusals?cause=surge" },
  { name: "a refusal", address: async (page, sluice) => explained(page, await refusedCall(sluice)) },
  { name: "an unknown refusal", address: "/monitoring/refusals/0192f0c1-7a00-7000-8000-0123456789ab", status: 404 },
  ...settings.map((it) => ({ name: `Settings › ${it}`, address: `/settings/${it}` })),
  ...settings
    .filter((it) => it !== "audit" && it !== "account")
    .map((it) => ({ name: `the dialog of a new one of ${it}`, address: `/settings/${it}?create=1` })),
  { name: "the workspace editor", address: editor },
  { name: "the picker of the workspace editor", address: async (page) => `${await editor(page)}?picker=1` },
  { name: "archiving a workspace", address: async (page) => `${await editor(page)}?archive=1` },
  { name: "the editor of a model", address: "/settings/models?edit=qwen-plus" },
  { name: "Settings › models › import", address: "/settings/models/import" },
  { name: "the editor of a provider", address: dialog("/settings/providers", /^Edit /) },
  { name: "the editor of a key", address: ofKey("Edit") },
  { name: "rotating a key", address: ofKey("Rotate") },
  { name: "revoking a key", address: ofKey("Revoke") },
  { name: "the role of a member", address: ofMember("Role") },
  { name: "removing a member", address: ofMember("Remove") },
  { name: "Help", address: "/help/rate-limits" },
  { name: "an unknown address", address: "/settings/nothing", status: 404 },
  { name: "an unknown workspace", address: "/settings/workspaces/nothing", status: 404 },
  { name: "Monitoring before the first call", address: firstUse, open: true },
  { name: "Sign in", address: "/sign-in", open: true },
  { name: "Invitation", address: "/invitation?token=x", open: true },
];
