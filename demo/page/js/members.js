// The right side: who is in the server.

import { api } from './api.js';
import { ask, attempt } from './dialogs.js';
import { $, avatar, fill, h, iconButton } from './dom.js';

export function renderMembers(store, open) {
  const { server, channel, state, isOwner } = store;
  const ids = server ? server.memberIds : channel?.userIds || [];
  const users = ids.map((id) => store.user(id));

  fill($('members'),
       h('h2', {}, server ? `Members ${users.length}` : 'In this conversation'),
       h('ul', {}, users.map(({ id, name }) => h(
         'li', { class: 'member' },
         avatar(id, name),
         h('span', { class: 'name' }, name),
         id === server?.ownerId && h('span', { class: 'badge' }, 'owner'),
         server && id !== state.userId && iconButton(
           'chat', `Message ${name}`, () => write(store, open, id),
           { 'data-key': `write-${id}` }),
         isOwner && id !== state.userId && iconButton(
           'kick', `Kick ${name}`, () => kick(server, id, name),
           { 'data-key': `kick-${id}`, class: 'icon-button kick' })))));
}

function write(store, open, userId) {
  attempt(async () => {
    const dm = await api.post('/dms', { userId });
    if (!store.findChannel(dm.id)) {
      await store.refresh();
    }
    open.channel(dm.id);
  });
}

function kick(server, userId, name) {
  ask({
    title: `Kick ${name} from ${server.name}?`,
    text: 'What is written there no longer reaches them, from this moment on.',
    action: 'Kick',
    danger: true,
    submit: () => api.delete(`/servers/${server.id}/members/${userId}`),
  });
}
