// Proves the page of the lockout policy: what it does in a sentence, what is inherited, edit and reset.
import { toJson } from "@bufbuild/protobuf";
import { AccessService, Role } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { GetLockoutPolicyResponseSchema, SettingsService } from "../../gen/userlock/v3alpha/settings_service_pb.ts";
import { expectAccessible, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { asOwner, inOrganization, ok, seconds, setPolicy } from "../support/logins.ts";
import { startServer } from "../support/servers/server-process.ts";

const { createToken } = AccessService.method;
const { getLockoutPolicy, resetLockoutPolicy } = SettingsService.method;

const { server, door, browser } = await openConsole(startServer);

const DEFAULT = "5 wrong passwords within 15 minutes lock for 1, 2, 4 … minutes, at most 1 hour.";
const policyOf = async (organization: string) => {
  const { response } = await door.call(getLockoutPolicy, inOrganization(organization), asOwner);
  return toJson(GetLockoutPolicyResponseSchema, response!) as { own?: object; isInherited?: boolean };
};

test.each(SCHEMES)(
  "an admin sees what is inherited, edits a field with a preview, and resets it: %s",
  async (scheme) => {
    const organization = `acme-${scheme}`;
    const page = await browser.visit(`${server.url}/console/policy`, { scheme });
    await logIn(page);
    await page.getByText(DEFAULT).waitFor();
    await page.getByText("Nothing is set here: these are userlock's defaults.").waitFor();
    await page.getByLabel("Organization").fill(organization);
    await page.keyboard.press("Enter");
    await page.getByText("Nothing is set here: the instance's policy applies.").waitFor();
    expect(new URL(page.url()).searchParams.get("org")).toBe(organization);
    await expectAccessible(page);

    await page.getByRole("button", { name: "Edit…" }).click();
    const dialog = page.getByRole("dialog", { name: `Edit the policy: The organization ${organization}` });
    const preview = dialog.getByRole("region", { name: "What it will do" });
    await preview.getByText(DEFAULT).waitFor();
    expect(await dialog.getByRole("button", { name: "Save" }).isDisabled()).toBe(true);
    await dialog.getByLabel("Wrong passwords until a lock", { exact: true }).selectOption("A number");
    await preview.getByText("A value is missing or out of range.").waitFor();
    await dialog.getByLabel("Wrong passwords until a lock: number").fill("3");
    await preview
      .getByText("3 wrong passwords within 15 minutes lock for 1, 2, 4 … minutes, at most 1 hour.")
      .waitFor();
    await dialog.getByLabel("Longest lock", { exact: true }).selectOption("Until someone unlocks");
    await preview.getByText("3 wrong passwords within 15 minutes lock until someone unlocks.").waitFor();
    await dialog.getByLabel("Logins learn of the lock").selectOption("yes");
    await dialog.getByText("During a lock up to 3 passwords are still compared").waitFor();
    await expectAccessible(page);
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });

    await page.getByText("3 wrong passwords within 15 minutes lock until someone unlocks.").waitFor();
    const rowOf = (field: string) => page.getByRole("row", { name: field }).innerText();
    expect(await rowOf("Longest lock")).toMatch(/Until someone unlocks\s*set here/);
    expect(await rowOf("A wrong password counts for")).toMatch(/15 minutes\s*inherited from the instance/);
    expect(await policyOf(organization)).toMatchObject({
      own: { maxAttempts: 3, maxLockDuration: "0s", revealLock: true },
    });
    await expectAccessible(page);

    await page.getByRole("button", { name: "Reset…" }).click();
    const confirm = page.getByRole("dialog", { name: `Reset the policy: The organization ${organization}` });
    await confirm.getByText(DEFAULT).waitFor();
    await expectAccessible(page);
    await confirm.getByRole("button", { name: "Reset", exact: true }).click();
    await page.getByText("Nothing is set here: the instance's policy applies.").waitFor();
    expect((await policyOf(organization)).isInherited).toBe(true);
  },
);

test("a change of one field keeps the others inherited, and one that sets nothing resets the policy", async () => {
  await setPolicy(door, { window: seconds(60) }, "partly");
  const page = await browser.visit(`${server.url}/console/policy?org=partly`);
  await logIn(page);
  await page.getByText("5 wrong passwords within 1 minute lock").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  await setPolicy(door, { window: seconds(120) }, "partly");
  await page.getByText("5 wrong passwords within 2 minutes lock").waitFor();

  await page.getByRole("button", { name: "Edit…" }).click();
  await page.getByRole("dialog").getByLabel("Known devices get in").selectOption("no");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  // The dialog has the same sentences.
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByText("A lock stops every device").waitFor();
  expect((await policyOf("partly")).own).toEqual({ window: "120s", knownDevicesPass: false });

  await page.getByRole("button", { name: "Edit…" }).click();
  for (const field of ["A wrong password counts for", "Known devices get in"]) {
    await page.getByRole("dialog").getByLabel(field, { exact: true }).selectOption("inherit");
  }
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  // The dialog has the same sentences.
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByText(DEFAULT).waitFor();
  expect((await policyOf("partly")).isInherited).toBe(true);
});

test("an owner of an organization begins with it, in German, and one without settings.write edits nothing", async () => {
  await setPolicy(door, { maxAttempts: 7, window: seconds(172_800) }, "globex");
  const tokenOf = async (role: Role) => {
    const grants = [{ role, organizationId: "globex" }];
    const answer = await door.call(createToken, { subject: "globex-admin", grants }, asOwner);
    ok(answer);
    return answer.response!.token;
  };
  const page = await browser.visit(`${server.url}/console/policy`, { locale: "de-DE" });
  await page.getByLabel("Token", { exact: true }).fill(await tokenOf(Role.ORG_OWNER));
  await page.getByRole("button", { name: "Anmelden" }).click();
  await page
    .getByText("7 falsche Passwörter innerhalb von 2 Tagen sperren für 1, 2, 4 … Minuten, höchstens 1 Stunde.")
    .waitFor();
  expect(await page.getByRole("button", { name: "Bearbeiten…" }).count()).toBe(1);
  await expectAccessible(page);
  await page.goto(`${server.url}/console/policy?org=other`);
  await page.getByText("PERMISSION_MISSING").waitFor();
  await page.close();
  expect(browser.messages.splice(0).filter((message) => !/status of 403/.test(message))).toEqual([]);

  const viewer = await browser.visit(`${server.url}/console/policy`);
  await logIn(viewer, await tokenOf(Role.ORG_VIEWER));
  await viewer.getByText("7 wrong passwords within 2 days").waitFor();
  expect(await viewer.getByRole("button", { name: "Edit…" }).count()).toBe(0);
  ok(await door.call(resetLockoutPolicy, inOrganization("globex"), asOwner));
});
