import { render } from "preact";
import { applyPreferences } from "./core/preferences.ts";
import { interceptLinks } from "./core/router.ts";
import { loadMe } from "./core/session.ts";
import { App } from "./shell.tsx";

applyPreferences();
interceptLinks();
void loadMe();
// The link of `userlock console` in a tab that shows the console already changes only the fragment.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#code=")) void loadMe();
});
render(<App />, document.getElementById("app") as HTMLElement);
