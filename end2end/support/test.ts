import { test as base, expect, type BrowserContextOptions } from "@playwright/test";
import { Installation, OWNER } from "./installation";

type StorageState = Exclude<BrowserContextOptions["storageState"], string | undefined>;

/** Tests get a running installation for their worker, are signed in as its owner, and fail on any console error. */
export const test = base.extend<{ expectedErrors: RegExp[]; noErrors: void }, { sluice: Installation; session: StorageState; searchKey: string }>({
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

  // What a spec brings about on purpose, such as an answer of 401 to a form.
  expectedErrors: [[], { option: true }],

  noErrors: [
    async ({ page, expectedErrors }, use) => {
      const errors: string[] = [];
      // The console also tells of a page that is a 404; its status is what the spec looks at.
      const documents = new Set<string>();
      page.on("response", (it) => {
        if (it.request().isNavigationRequest()) documents.add(it.url());
      });
      page.on("console", (message) => {
        if (message.type() !== "error") return;
        const { url } = message.location();
        const told = `${message.text()} (${url})`;
        const missing = documents.has(url) && message.text().includes("status of 404");
        if (!missing && !expectedErrors.some((it) => it.test(told))) errors.push(told);
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
