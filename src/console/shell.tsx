import { useEffect } from "preact/hooks";
import { beginLive, endLive, liveState } from "./core/live.ts";
import { type Language, language, type Theme, theme } from "./core/preferences.ts";
import { address, pathTo, placeOf } from "./core/router.ts";
import { can, loadMe, logOut, me, meFailure } from "./core/session.ts";
import { de } from "./i18n/de.ts";
import { en } from "./i18n/en.ts";
import { texts } from "./i18n/messages.ts";
import { LoginPage } from "./login/login.tsx";
import { PAGES } from "./pages.tsx";
import { Failure } from "./parts/failure.tsx";

/** The whole console: the login, or the header and a page. */
export function App() {
  const isIn = me.value !== null && me.value !== undefined;
  useEffect(() => {
    if (!isIn) return;
    if (can("event.read")) beginLive();
    return endLive;
  }, [isIn]);
  if (me.value === null) return <LoginPage />;
  if (me.value === undefined) {
    if (meFailure.value !== undefined) return <Failure error={meFailure.value} onRetry={() => void loadMe()} />;
    return null;
  }
  return (
    <>
      <a class="skip" href="#main">
        {texts.value.nav.skip}
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function Page() {
  const place = placeOf(address.value);
  const found = PAGES.find(({ path }) => path === (place[0] ?? ""));
  const title = found ? texts.value.nav[found.key] : texts.value.common.notFound;
  useEffect(() => {
    document.title = `${place[1] ?? title} · userlock`;
  }, [title, place[1]]);
  if (!found) return <p>{texts.value.common.notFound}</p>;
  if (found.permission !== undefined && !can(found.permission))
    return <p>{texts.value.common.notAllowed(found.permission)}</p>;
  return found.show(place.slice(1));
}

function Header() {
  const { nav, header } = texts.value;
  const here = placeOf(address.value)[0] ?? "";
  return (
    <header class="top">
      <strong class="brand">userlock</strong>
      <nav aria-label={nav.label}>
        {PAGES.filter(({ permission }) => permission === undefined || can(permission)).map(({ key, path }) => (
          <a key={key} href={pathTo(...(path === "" ? [] : [path]))} aria-current={path === here ? "page" : undefined}>
            {nav[key]}
          </a>
        ))}
      </nav>
      <span class="space" />
      <span class={`live ${liveState.value}`} role="status">
        {header.live[liveState.value]}
      </span>
      <label>
        <span class="hidden">{header.theme}</span>
        <select value={theme.value} onChange={({ currentTarget }) => (theme.value = currentTarget.value as Theme)}>
          {Object.entries(header.themes).map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="hidden">{header.language}</span>
        <select
          value={language.value}
          onChange={({ currentTarget }) => (language.value = currentTarget.value as Language)}
        >
          <option value="en">{en.name}</option>
          <option value="de">{de.name}</option>
        </select>
      </label>
      <span class="who">{me.value?.subject}</span>
      <button type="button" onClick={() => void logOut()}>
        {header.logOut}
      </button>
    </header>
  );
}
