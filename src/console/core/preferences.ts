import { effect, signal } from "@preact/signals";

/** The colour scheme. "auto" is that of the system. */
export type Theme = "auto" | "light" | "dark";
export type Language = "en" | "de";

export const theme = signal<Theme>(read("theme", ["auto", "light", "dark"]) ?? "auto");
export const language = signal<Language>(
  read("language", ["en", "de"]) ?? (navigator.language.startsWith("de") ? "de" : "en"),
);

function read<Value extends string>(name: string, allowed: readonly Value[]): Value | undefined {
  const stored = localStorage.getItem(`userlock.${name}`);
  return allowed.find((one) => one === stored);
}

/** Applies the preferences to the document, and keeps them. */
export function applyPreferences(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem("userlock.theme", theme.value);
  });
  effect(() => {
    document.documentElement.lang = language.value;
    localStorage.setItem("userlock.language", language.value);
  });
}
