// Light or dark: as the system says, until the user says else.

const KEY = 'theme';
const root = document.documentElement;
const system = matchMedia('(prefers-color-scheme: dark)');

export function isDark() {
  return root.dataset.theme ? root.dataset.theme === 'dark' : system.matches;
}

export function toggleTheme() {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  localStorage.setItem(KEY, root.dataset.theme);
}

export function watchTheme(changed) {
  system.addEventListener('change', changed);
}

const stored = localStorage.getItem(KEY);
if (stored === 'light' || stored === 'dark') {
  root.dataset.theme = stored;
}
