// Making elements.  Text becomes text nodes: nothing that users write is ever
// read as HTML.

/**
 * h('button', { class: 'x', onclick: f }, 'text', child, ...): an element.
 * Functions are listeners, false and undefined leave an attribute out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value);
    } else if (value !== false && value !== undefined && value !== null) {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  element.append(...children.flat(Infinity).filter(Boolean));
  return element;
}

export function icon(name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  const use = document.createElementNS(space, 'use');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button that is only an icon; attributes.key: to find its focus again. */
export function iconButton(name, label, onclick, attributes = {}) {
  return h('button', {
    type: 'button', class: 'icon-button', 'aria-label': label, title: label,
    onclick, ...attributes,
  }, icon(name));
}

/** A coloured circle with the first letters of a name. */
export function avatar(id, name) {
  const letters = name.split(/\s+/).slice(0, 2).map((word) => word[0]).join('');
  const element = h('span', { class: 'avatar', 'aria-hidden': 'true' },
                    letters.toUpperCase());
  element.style.setProperty('--hue', (Number(id) * 137 + 60) % 360);
  return element;
}

/** Replaces what is in an element; the focus stays where data-key says. */
export function fill(container, ...children) {
  const key = container.contains(document.activeElement)
    && document.activeElement.dataset.key;
  container.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (key) {
    container.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }
}

export const $ = (id) => document.getElementById(id);
