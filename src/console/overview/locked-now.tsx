import type { CountUsersResponse } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { pathTo } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";

const REASONS = 5;

const listOf = (query: Record<string, string>) => `${pathTo("users")}?${new URLSearchParams(query)}`;

/** How many users are locked, why, and how many are not. Each number leads to the users. */
export function LockedNow({ counts }: { counts: CountUsersResponse }) {
  const { overview: t, cause, state, users } = texts.value;
  const { total, active, inactive, locked, lockedManually, lockedByPasswordFailures, endingSoon, lockReasons } = counts;
  return (
    <section aria-labelledby="locked-title">
      <h2 id="locked-title" class="hidden">
        {t.users}
      </h2>
      <ul class="numbers">
        <Figure name={t.lockedNow} value={locked} href={listOf({ state: "locked" })} isBad={locked > 0n} />
        <Figure name={cause.manual} value={lockedManually} href={listOf({ cause: "manual" })} />
        <Figure name={cause.passwords} value={lockedByPasswordFailures} href={listOf({ cause: "passwords" })} />
        <Figure name={users.endsSoon} value={endingSoon} href={listOf({ soon: "1" })} />
        <Figure name={state.inactive} value={inactive} href={listOf({ state: "inactive" })} />
        <Figure name={state.active} value={active} href={listOf({ state: "active" })} />
        <Figure name={t.all} value={total} href={pathTo("users")} />
      </ul>
      {lockReasons.length > 0 && (
        <p class="reasons">
          {t.reasons}{" "}
          {lockReasons.slice(0, REASONS).map((one) => (
            <a key={one.reason} class="chip" href={listOf({ reason: one.reason })}>
              {one.reason} <span class="count">{formatNumber(one.users)}</span>
            </a>
          ))}
        </p>
      )}
    </section>
  );
}

function Figure(props: { name: string; value: bigint; href: string; isBad?: boolean }) {
  return (
    <li class={props.isBad ? "bad" : ""}>
      <a href={props.href}>
        <strong>{formatNumber(props.value)}</strong> <span>{props.name}</span>
      </a>
    </li>
  );
}
