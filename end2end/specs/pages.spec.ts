import { PLACES } from "../support/places";
import { expectSound } from "../support/sound";
import { NOBODY, test } from "../support/test";
import { expectWhole } from "../support/whole";

/** Every page and dialog with an address, in both themes: accessible, valid, of one piece, and nothing moves while it loads. */
for (const theme of ["light", "dark"] as const) {
  for (const open of [false, true]) {
    test.describe(`${theme}${open ? ", nobody signed in" : ""}`, () => {
      test.use({ colorScheme: theme });
      if (open) test.use({ storageState: NOBODY });
      for (const place of PLACES.filter((it) => (it.open ?? false) === open)) {
        test(place.name, async ({ page, context, sluice }, info) => {
          // What is told apart by width alone is not told apart by theme.
          test.skip(theme === "dark" && info.project.name === "mobile");
          const address = typeof place.address === "string" ? place.address : await place.address(page, sluice);
          await context.addCookies([{ name: "theme", value: theme, url: sluice.consoleUrl }]);
          await expectWhole(page, place, address, theme);
          await expectSound(page, { html: theme === "light" });
        });
      }
    });
  }
}
