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

const settings = ["workspaces", "models", "providers", "keys", "members", "audit"];

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
    .filter((it) => it !== "audit")
    .map((it) => ({ name: `the dialog of a new one of ${it}`, address: `/settings/${it}?create=1` })),
  { name: "the workspace editor", address: editor },
  { name: "the picker of the workspace editor", address: async (page) => `${await editor(page)}?picker=1` },
  { name: "the editor of a model", address: "/settings/models?edit=qwen-plus" },
  { name: "Help", address: "/help/rate-limits" },
  { name: "an unknown address", address: "/settings/nothing", status: 404 },
  { name: "an unknown workspace", address: "/settings/workspaces/nothing", status: 404 },
  { name: "Sign in", address: "/sign-in", open: true },
  { name: "Invitation", address: "/invitation?token=x", open: true },
];
