import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { CopyButton } from "../parts/copy.tsx";
import { firstUserCommands } from "./commands.ts";

/** How to create the first user, for an empty store. The page changes by itself once there is one. */
export function FirstUser() {
  const { overview: t, common } = texts.value;
  const commands = firstUserCommands(window.location.origin);
  return (
    <section class="card first" aria-labelledby="first-title">
      <h2 id="first-title">{t.firstTitle}</h2>
      {can("user.write") ? (
        <>
          <p>{t.firstText}</p>
          {(["userlock", "curl"] as const).map((tool) => (
            <div key={tool}>
              <h3>{tool}</h3>
              <pre>{commands[tool]}</pre>
              <CopyButton text={commands[tool]} label={common.copy} of={tool} />
            </div>
          ))}
          <p>
            <small>{t.firstToken}</small>
          </p>
        </>
      ) : (
        <p>{common.notAllowed("user.write")}</p>
      )}
    </section>
  );
}
