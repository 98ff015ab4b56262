// The middle: the messages of the open channel, and the field to write one.

import { api } from './api.js';
import { attempt } from './dialogs.js';
import { $, avatar, fill, h, icon, iconButton } from './dom.js';

const REACTIONS = [
  ['\u{1f44d}', 'thumbs up'], ['\u2764\ufe0f', 'heart'],
  ['\u{1f602}', 'laughing'], ['\u{1f389}', 'party'], ['\u{1f440}', 'eyes'],
];
const GROUP = 5 * 60000;        // messages of one author, under one name

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const full = new Intl.DateTimeFormat(undefined, {
  dateStyle: 'medium', timeStyle: 'short',
});

let shown;              // the channel whose messages are there
let editing;            // the id of the message that is being changed
// message id: { message, first, delivery, element }
const elements = new Map();

export function renderTitle(store) {
  const { channel } = store;
  const dm = channel && !channel.serverId && store.partner(channel);

  fill($('title'),
       channel && (dm ? avatar(dm.id, dm.name)
         : icon(channel.private ? 'lock' : 'hash')),
       h('span', {}, channel ? (dm || channel).name : 'Nothing here yet'));

  $('composer').hidden = !channel;
  if (channel) {
    $('content').placeholder = `Message ${dm ? dm.name : `#${channel.name}`}`;
  }
  document.title = channel ? `${(dm || channel).name} - Chat` : 'Chat';
}

export function renderMessages(store) {
  const list = $('messages');
  const messages = store.sortedMessages();
  const ids = new Set(messages.map((it) => it.id));
  const other = shown !== store.channelId;
  const atEnd = other
    || list.scrollHeight - list.scrollTop - list.clientHeight < 80;

  if (other) {
    list.replaceChildren();
    elements.clear();
    shown = store.channelId;
    editing = undefined;
  }

  // only what has changed is made anew
  messages.forEach((message, i) => {
    const first = !follows(messages[i - 1], message);
    const old = elements.get(message.id);
    const delivery = store.deliveryOf(message);

    if (old && (editing === message.id
                || (old.message === message && old.first === first
                    && old.delivery === delivery))) {
      return;
    }
    const element = h('article', {
      class: `message${first ? ' first' : ''}`,
      'data-delivery': delivery,
      onfocusout: ({ relatedTarget }) => {
        if (relatedTarget && !element.contains(relatedTarget)) {
          toggleTools(element, false);
        }
      },
      onkeydown: ({ key }) => {
        if (key === 'Escape' && toggleTools(element, false)) {
          element.querySelector('.tools-button').focus();
        }
      },
    });
    fillMessage(element, store, message, first);
    if (old) {
      const key = old.element.contains(document.activeElement)
        && document.activeElement.dataset.key;
      old.element.replaceWith(element);
      if (key) {
        element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
      }
    } else {
      list.insertBefore(element, list.children[i] || null);
    }
    elements.set(message.id, { message, first, delivery, element });
  });

  for (const [id, { element }] of elements) {
    if (!ids.has(id)) {
      element.remove();
      elements.delete(id);
    }
  }

  if (atEnd) {
    list.scrollTop = list.scrollHeight;
  }
}

function follows(before, message) {
  return before && before.authorId === message.authorId
    && message.createdAt - before.createdAt < GROUP;
}

function fillMessage(element, store, message, first) {
  const author = store.user(message.authorId);
  const time = new Date(message.createdAt);

  fill(element,
       first ? avatar(author.id, author.name) : h('span', { class: 'gutter' },
                                                  clock.format(time)),
       h('div', { class: 'body' },
         h('header', { class: first ? '' : 'unseen' },
           h('b', {}, author.name),
           h('time', {
             datetime: time.toISOString(), title: full.format(time),
           }, clock.format(time))),
         editing === message.id ? editor(store, message)
           : h('p', { class: 'content' }, message.content, message.editedAt
             && h('span', { class: 'edited' }, ' (edited)'),
               deliveryMark(store.deliveryOf(message))),
         message.state === 'failed' && failure(store, message),
         reactions(store, message)),
       // those on their way have none
       store.messages.has(message.id) && tools(element, store, message, first));
}

const MARKS = { sent: ['clock', 'Sent'], delivered: ['check', 'Delivered'] };

function deliveryMark(delivery) {
  const [name, title] = MARKS[delivery] ?? [];

  return name && h('span', { class: 'delivery', title }, icon(name),
                   h('span', { class: 'unseen' }, ` ${title}`));
}

function failure({ outbox }, { id, error }) {
  const button = (label, work) => h('button', {
    type: 'button', class: 'link',
    onclick: () => {
      work();
      $('content').focus();
    },
  }, label);

  return h('p', { class: 'failure', role: 'alert' },
           h('span', {}, `Not delivered. ${error}`),
           button('Retry', () => outbox.retry(id)),
           button('Discard', () => outbox.discard(id)));
}

function tools(element, store, message, first) {
  const own = message.authorId === store.state.userId;

  return [
    h('div', { class: 'tools', role: 'group', 'aria-label': 'Reactions' },
      REACTIONS.map(([emoji, name]) => h('button', {
        type: 'button', 'aria-label': `React with ${name}`,
        'data-key': `add-${emoji}`,
        onclick: () => react(store, message, emoji),
      }, emoji)),
      own && iconButton('pen', 'Edit message', () => {
        editing = message.id;
        fillMessage(element, store, message, first);
        const input = element.querySelector('textarea');
        input.focus();
        input.setSelectionRange(input.value.length, input.value.length);
      }, { 'data-key': 'edit' })),
    toolsButton(element),
  ];
}

// without a mouse the tools are opened by a button
function toolsButton(element) {
  return iconButton('smile', 'React', () => {
    const open = !element.classList.contains('open');
    closeTools();
    if (open) {
      toggleTools(element, true);
      element.querySelector('.tools button').focus();
    }
  }, { class: 'icon-button tools-button', 'aria-expanded': 'false' });
}

/** Returns whether anything has changed. */
function toggleTools(element, open) {
  const changes = element.classList.contains('open') !== open;
  element.classList.toggle('open', open);
  element.querySelector('.tools-button')
    ?.setAttribute('aria-expanded', String(open));
  return changes;
}

function closeTools() {
  const open = document.querySelector('.message.open');
  if (open) {
    toggleTools(open, false);
  }
}

function reactions(store, { reactions: list, ...message }) {
  return list.length > 0 && h('div', { class: 'reactions' }, list.map(
    ({ emoji, userIds }) => h('button', {
      type: 'button', 'data-key': `reaction-${emoji}`,
      'aria-pressed': String(userIds.includes(store.state.userId)),
      'aria-label': `${emoji} ${userIds.length}`,
      title: userIds.map((id) => store.user(id).name).join(', '),
      onclick: () => react(store, { reactions: list, ...message }, emoji),
    }, h('span', {}, emoji), h('span', {}, String(userIds.length)))));
}

function react(store, { id, reactions: list }, emoji) {
  const mine = list.some((it) => it.emoji === emoji
    && it.userIds.includes(store.state.userId));
  const path = `/messages/${id}/reactions/${encodeURIComponent(emoji)}`;

  closeTools();
  attempt(() => (mine ? api.delete(path) : api.put(path)));
}

function editor(store, message) {
  const close = () => {
    editing = undefined;
    elements.get(message.id).message = undefined;
    renderMessages(store);
    $('content').focus();
  };
  const input = h('textarea', {
    'aria-label': 'Edit message', rows: 2, maxlength: 2000,
    onkeydown: (event) => {
      if (event.key === 'Escape') {
        close();
      } else if (isSend(event)) {
        event.preventDefault();
        attempt(async () => {
          await api.patch(`/messages/${message.id}`, { content: input.value });
          close();
        });
      }
    },
  }, message.content);

  return h('div', { class: 'editor' }, input,
           h('small', { class: 'muted' }, 'Enter saves, Escape cancels'));
}

// Enter that is neither a new line nor the end of a composition
function isSend(event) {
  return event.key === 'Enter' && !event.shiftKey && !event.isComposing;
}

export function startComposer(store) {
  const form = $('composer');
  const input = $('content');
  const fit = () => {
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
  };

  form.querySelector('button').append(icon('send'));
  input.addEventListener('input', fit);
  input.addEventListener('keydown', (event) => {
    if (isSend(event)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const content = input.value.trim();
    if (!content || !store.channelId) {
      return;
    }
    // the message itself comes back as an event, like those of others
    store.write(content);
    input.value = '';
    fit();
  });
}
