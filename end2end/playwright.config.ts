import { defineConfig, devices } from "@playwright/test";

const desktop = { ...devices["Desktop Chrome"], viewport: { width: 1280, height: 900 } };

/** Specs named *.hydrate.* are about what script adds; the others hold without it. */
export default defineConfig({
  testDir: "specs",
  outputDir: "test-results",
  fullyParallel: false,
  workers: 2,
  forbidOnly: true,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [["list"]],
  globalSetup: "./support/global-setup.ts",
  use: {
    // Relative addresses are completed by the `sluice` fixture: each worker has an installation of its own.
    locale: "en-GB",
    timezoneId: "Europe/Madrid",
    actionTimeout: 10_000,
    navigationTimeout: 20_000,
    trace: process.env.TRACE ? "retain-on-failure" : "off",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
      ],
    },
  },
  projects: [
    { name: "script", use: desktop },
    { name: "no-script", testIgnore: /\.hydrate\./, use: { ...desktop, javaScriptEnabled: false } },
    { name: "mobile", use: { ...devices["Pixel 7"], viewport: { width: 320, height: 720 } } },
  ],
});
