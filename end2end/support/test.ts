import { test as base, expect, type BrowserContextOptions } from "@playwright/test";
import { Installation, OWNER } from "./installation";

type StorageState = Exclude<BrowserContextOptions["storageState"], string | undefined>;

/** Tests get a running installation for their worker, are signed in as its owner, and fail on any console error. */
export const test = base.extend<{ noErrors: void }, { sluice: Installation; session: StorageState; searchKey: string }>({
  sluice: [
    async ({}, use) => {
      const sluice = await Installation.start();
      await use(sluice);
      await sluice.stop();
    },
    { scope: "worker", timeout: 60_000 },
  ],

  // Once a worker: sign-in is slow by design, and attempts are counted.
  session: [
    async ({ sluice, playwright }, use) => {
      const request = await playwright.request.newContext({ baseURL: sluice.consoleUrl });
      const answer = await request.post("/api/sign-in", { form: { ...OWNER, next: "" } });
      expect(answer.ok()).toBe(true);
      const state = await request.storageState();
      expect(state.cookies).not.toHaveLength(0);
      await use(state);
      await request.dispose();
    },
    { scope: "worker" },
  ],

  searchKey: [async ({ sluice }, use) => use(await sluice.key("search")), { scope: "worker" }],

  baseURL: async ({ sluice }, use) => use(sluice.consoleUrl),

  storageState: async ({ session }, use) => use(session),

  noErrors: [
    async ({ page }, use) => {
      const errors: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error") errors.push(`${message.text()} (${message.location().url})`);
      });
      page.on("pageerror", (error) => errors.push(String(error)));
      await use();
      expect(errors, "errors in the browser's console").toEqual([]);
    },
    { auto: true },
  ],
});

/** For specs that begin without a session. */
export const NOBODY: StorageState = { cookies: [], origins: [] };

export { expect };
