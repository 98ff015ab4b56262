// Dialogs, menus, notices.

import { $, h } from './dom.js';

/**
 * A dialog with fields.  fields: { name: { label, value, type, options } };
 * type text (default), checkbox or choices (options: [{ value, label, on }]).
 * submit(values) may throw: the message is shown and the dialog stays.
 */
export function ask({ title, text, fields = {}, action, danger, submit }) {
  const dialog = $('dialog');
  const error = h('p', { class: 'error', role: 'alert' });

  const form = h('form', {
    onsubmit: async (event) => {
      event.preventDefault();
      error.textContent = '';
      try {
        await submit(read(new FormData(form), fields));
        dialog.close();
      } catch (problem) {
        error.textContent = problem.message;
      }
    },
  },
  h('h2', { id: 'dialog-title' }, title),
  text && h('p', {}, text),
  Object.entries(fields).map(([name, field]) => control(name, field)),
  error,
  h('div', { class: 'actions' },
    h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
    h('button', { class: danger ? 'danger' : 'primary' }, action)));

  dialog.setAttribute('aria-labelledby', 'dialog-title');
  dialog.replaceChildren(form);
  dialog.showModal();
}

function control(name, { label, value = '', type = 'text', options = [] }) {
  switch (type) {
    case 'checkbox':
      return h('label', { class: 'check' },
               h('input', { type, name, checked: Boolean(value) }), label);
    case 'choices':
      return h('fieldset', {}, h('legend', {}, label), options.map((it) => (
        h('label', { class: 'check' }, h('input', {
          type: 'checkbox', name, value: it.value, checked: it.on,
        }), it.label))));
    case 'select':
      return h('label', {}, label, h('select', { name }, options.map((it) => (
        h('option', { value: it.value, selected: it.value === value },
          it.label)))));
    default:
      return h('label', {}, label, h('input', {
        name, value, required: true, maxlength: 32, autocomplete: 'off',
      }));
  }
}

function read(data, fields) {
  return Object.fromEntries(Object.entries(fields).map(([name, { type }]) => {
    switch (type) {
      case 'checkbox': return [name, data.has(name)];
      case 'choices': return [name, data.getAll(name)];
      default: return [name, data.get(name)];
    }
  }));
}

/** items: [{ label, run, danger }], shown next to the button. */
export function openMenu(button, items) {
  const menu = $('menu');

  menu.replaceChildren(...items.map((it) => h('button', {
    type: 'button', role: 'menuitem', class: it.danger && 'danger-text',
    onclick: () => { menu.hidePopover(); it.run(); },
  }, it.label)));

  menu.showPopover();
  const box = button.getBoundingClientRect();
  const left = Math.min(box.left, innerWidth - menu.offsetWidth - 8);
  const top = box.bottom + 6 + menu.offsetHeight > innerHeight
    ? box.top - 6 - menu.offsetHeight : box.bottom + 6;
  menu.style.left = `${Math.max(8, left)}px`;
  menu.style.top = `${top}px`;
  menu.firstChild.focus();
}

$('menu').addEventListener('keydown', (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    const items = [...event.currentTarget.children];
    const next = items.indexOf(document.activeElement) + step;
    items.at(next % items.length).focus();
    event.preventDefault();
  }
});

/** A short text that goes away by itself. */
export function notify(text) {
  const notice = h('p', {}, text);
  $('notices').append(notice);
  setTimeout(() => notice.remove(), 6000);
}

/** Runs something that may fail; the user sees why. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    notify(error.message);
    return undefined;
  }
}
