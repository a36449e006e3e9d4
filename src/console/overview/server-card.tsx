import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { me } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { When } from "../parts/time.tsx";

const EVERY_MS = 15_000;

type Health = "asking" | "ready" | "notReady" | "away";

/** The server that answers, whether it is well, and who is logged in. */
export function ServerCard() {
  const { overview: t } = texts.value;
  const health = useSignal<Health>("asking");
  const { subject, expires, server } = me.value ?? {};

  useEffect(() => {
    const stop = new AbortController();
    const ask = async () => {
      const found = await healthOf(stop.signal);
      if (!stop.signal.aborted) health.value = found;
    };
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, []);

  return (
    <section class="card" aria-labelledby="server-title">
      <h2 id="server-title">{t.server}</h2>
      <dl>
        <dt>{t.health}</dt>
        <dd>
          <span
            role="status"
            class={`event ${health.value === "ready" ? "good" : health.value === "asking" ? "" : "danger"}`}
          >
            {t.healths[health.value]}
          </span>
        </dd>
        {server && (
          <>
            <dt>{t.version}</dt>
            <dd>{server.version}</dd>
            <dt>{t.store}</dt>
            <dd>{(t.stores as Record<string, string>)[server.store] ?? server.store}</dd>
            <dt>{t.instance}</dt>
            <dd>
              <code>{server.instanceId}</code>
            </dd>
          </>
        )}
        <dt>{t.you}</dt>
        <dd>
          {subject}
          {expires && (
            <small>
              {" "}
              {t.tokenEnds} <When at={expires} />
            </small>
          )}
        </dd>
      </dl>
    </section>
  );
}

async function healthOf(signal: AbortSignal): Promise<Health> {
  try {
    const timeout = AbortSignal.timeout(EVERY_MS);
    const { ok } = await fetch("/readyz", { signal: AbortSignal.any([signal, timeout]), cache: "no-store" });
    return ok ? "ready" : "notReady";
  } catch {
    return "away";
  }
}
