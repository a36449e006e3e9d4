import type { Unit } from "../policy/length.ts";

/** A number of units: after "for", and after "within", which takes another case in German. */
const enUnits: Record<Unit, { one: string; many: string; within: string }> = {
  d: { one: "day", many: "days", within: "days" },
  h: { one: "hour", many: "hours", within: "hours" },
  min: { one: "minute", many: "minutes", within: "minutes" },
  s: { one: "second", many: "seconds", within: "seconds" },
};

/** The page of the lockout policy. */
export const policyEn = {
  title: "Lockout policy",
  organization: "Organization",
  ofInstance: "The instance",
  ofOrganization: (id: string) => `The organization ${id}`,
  showInstance: "Show the instance",
  edit: "Edit…",
  reset: "Reset…",
  inheritsAll: (isInstance: boolean): string =>
    isInstance
      ? "Nothing is set here: these are userlock's defaults."
      : "Nothing is set here: the instance's policy applies.",
  what: "What it does",
  columns: { field: "Field", value: "Value", source: "Source" },
  setHere: "set here",
  inherited: (isInstance: boolean): string => (isInstance ? "userlock's default" : "inherited from the instance"),
  fields: {
    maxAttempts: "Wrong passwords until a lock",
    window: "A wrong password counts for",
    lockDuration: "Length of the first lock",
    maxLockDuration: "Longest lock",
    knownDevicesPass: "Known devices get in",
    revealLock: "Logins learn of the lock",
  },
  hints: {
    maxAttempts: "1 to 99.",
    window: "1 second to 30 days.",
    lockDuration: "1 second to 30 days. Each further lock is twice as long.",
    maxLockDuration: "Up to 30 days.",
    knownDevicesPass: "If unknown devices caused the lock, devices that the user has logged in from are not stopped.",
    revealLock: "A login with the right password learns that the user is locked, and until when.",
  },
  yes: "yes",
  no: "no",
  inherit: (value: string) => `Inherit (${value})`,
  number: "A number",
  noLocks: "They never lock",
  endless: "Until someone unlocks",
  amountOf: (field: string) => `${field}: number`,
  units: { d: "days", h: "hours", min: "minutes", s: "seconds" },
  editTitle: (place: string) => `Edit the policy: ${place}`,
  save: "Save",
  preview: "What it will do",
  incomplete: "A value is missing or out of range.",
  resetTitle: (place: string) => `Reset the policy: ${place}`,
  resetSubmit: "Reset",
  resetEffect: (isInstance: boolean): string =>
    isInstance ? "Every field gets userlock's default again." : "Every field is inherited from the instance again.",
  sentence: {
    locale: "en",
    unit: enUnits,
    and: " and ",
    /** `length` begins with a space or a comma. */
    lock: (attempts: number, window: string, length: string) =>
      attempts === 1
        ? `Each wrong password locks${length}.`
        : `${attempts} wrong passwords within ${window} lock${length}.`,
    never: "Wrong passwords never lock.",
    endless: " until someone unlocks",
    always: (length: string) => ` for ${length} each time`,
    /** The lengths are one or two numbers of the unit. */
    few: (lengths: readonly string[], unit: string, longest: string) =>
      ` for ${lengths.join(", then ")} ${unit}, then for ${longest} each time`,
    growing: (lengths: readonly string[], unit: string, longest: string) =>
      ` for ${lengths.join(", ")} … ${unit}, at most ${longest}`,
    startsOver: "It starts over once the user logs in, gets a new password or is unlocked by someone.",
    inARow: (most: number) => `${most} wrong passwords in a row lock until someone unlocks.`,
    inARowOfStrangers: (most: number, strangers: number) =>
      `${most} wrong passwords in a row lock until someone unlocks; if the user has a known device, ${strangers} are enough for unknown devices.`,
    devicesPass: "Known devices are counted apart: a lock that unknown devices caused does not stop them.",
    devicesStop: "A lock stops every device, also those that the user has logged in from.",
    endsSessions: "A lock ends the open sessions of the user.",
    reveals: (probes: number) =>
      probes === 1
        ? "During a lock one password is still compared: with the right one, the login learns of the lock and its end."
        : `During a lock up to ${probes} passwords are still compared: with the right one, the login learns of the lock and its end.`,
    hides: "A login never learns that the user is locked.",
  },
};

const deUnits: typeof enUnits = {
  d: { one: "Tag", many: "Tage", within: "Tagen" },
  h: { one: "Stunde", many: "Stunden", within: "Stunden" },
  min: { one: "Minute", many: "Minuten", within: "Minuten" },
  s: { one: "Sekunde", many: "Sekunden", within: "Sekunden" },
};

export const policyDe: typeof policyEn = {
  title: "Sperrregeln",
  organization: "Organisation",
  ofInstance: "Die Instanz",
  ofOrganization: (id) => `Die Organisation ${id}`,
  showInstance: "Instanz zeigen",
  edit: "Bearbeiten…",
  reset: "Zurücksetzen…",
  inheritsAll: (isInstance) =>
    isInstance
      ? "Hier ist nichts gesetzt: Es gelten die Vorgaben von userlock."
      : "Hier ist nichts gesetzt: Es gelten die Regeln der Instanz.",
  what: "Was das bewirkt",
  columns: { field: "Feld", value: "Wert", source: "Herkunft" },
  setHere: "hier gesetzt",
  inherited: (isInstance) => (isInstance ? "Vorgabe von userlock" : "geerbt von der Instanz"),
  fields: {
    maxAttempts: "Falsche Passwörter bis zur Sperre",
    window: "Ein falsches Passwort zählt",
    lockDuration: "Länge der ersten Sperre",
    maxLockDuration: "Längste Sperre",
    knownDevicesPass: "Bekannte Geräte kommen hinein",
    revealLock: "Anmeldungen erfahren von der Sperre",
  },
  hints: {
    maxAttempts: "1 bis 99.",
    window: "1 Sekunde bis 30 Tage.",
    lockDuration: "1 Sekunde bis 30 Tage. Jede weitere Sperre ist doppelt so lang.",
    maxLockDuration: "Bis zu 30 Tage.",
    knownDevicesPass:
      "Haben unbekannte Geräte die Sperre verursacht, hält sie Geräte nicht auf, von denen das Konto schon angemeldet war.",
    revealLock: "Eine Anmeldung mit dem richtigen Passwort erfährt, dass das Konto gesperrt ist, und bis wann.",
  },
  yes: "ja",
  no: "nein",
  inherit: (value) => `Erben (${value})`,
  number: "Eine Zahl",
  noLocks: "Sie sperren nie",
  endless: "Bis jemand entsperrt",
  amountOf: (field) => `${field}: Zahl`,
  units: { d: "Tage", h: "Stunden", min: "Minuten", s: "Sekunden" },
  editTitle: (place) => `Regeln bearbeiten: ${place}`,
  save: "Speichern",
  preview: "Was das bewirken wird",
  incomplete: "Ein Wert fehlt oder ist außerhalb der Grenzen.",
  resetTitle: (place) => `Regeln zurücksetzen: ${place}`,
  resetSubmit: "Zurücksetzen",
  resetEffect: (isInstance) =>
    isInstance
      ? "Für jedes Feld gilt wieder die Vorgabe von userlock."
      : "Jedes Feld wird wieder von der Instanz geerbt.",
  sentence: {
    locale: "de",
    unit: deUnits,
    and: " und ",
    lock: (attempts, window, length) =>
      attempts === 1
        ? `Jedes falsche Passwort sperrt${length}.`
        : `${attempts} falsche Passwörter innerhalb von ${window} sperren${length}.`,
    never: "Falsche Passwörter sperren nie.",
    endless: ", bis jemand entsperrt",
    always: (length) => ` jedes Mal für ${length}`,
    few: (lengths, unit, longest) => ` für ${lengths.join(", dann ")} ${unit}, dann jedes Mal für ${longest}`,
    growing: (lengths, unit, longest) => ` für ${lengths.join(", ")} … ${unit}, höchstens ${longest}`,
    startsOver:
      "Es beginnt von vorn, sobald das Konto angemeldet wird, ein neues Passwort bekommt oder von jemandem entsperrt wird.",
    inARow: (most) => `${most} falsche Passwörter in Folge sperren, bis jemand entsperrt.`,
    inARowOfStrangers: (most, strangers) =>
      `${most} falsche Passwörter in Folge sperren, bis jemand entsperrt; hat das Konto ein bekanntes Gerät, genügen bei unbekannten Geräten ${strangers}.`,
    devicesPass:
      "Bekannte Geräte werden getrennt gezählt: Eine Sperre, die unbekannte Geräte verursacht haben, hält sie nicht auf.",
    devicesStop: "Eine Sperre hält jedes Gerät auf, auch solche, von denen das Konto schon angemeldet war.",
    endsSessions: "Eine Sperre beendet die offenen Sitzungen des Kontos.",
    reveals: (probes) =>
      probes === 1
        ? "Während einer Sperre wird noch ein Passwort verglichen: Mit dem richtigen erfährt die Anmeldung von der Sperre und ihrem Ende."
        : `Während einer Sperre werden noch bis zu ${probes} Passwörter verglichen: Mit dem richtigen erfährt die Anmeldung von der Sperre und ihrem Ende.`,
    hides: "Eine Anmeldung erfährt nie, dass das Konto gesperrt ist.",
  },
};
