import { render } from "preact";
import { applyPreferences } from "./core/preferences.ts";
import { interceptLinks } from "./core/router.ts";
import { loadMe } from "./core/session.ts";
import { App } from "./shell.tsx";

applyPreferences();
interceptLinks();
void loadMe();
render(<App />, document.getElementById("app") as HTMLElement);
