// The left side: servers, channels, the account.

import { api } from './api.js';
import { ask, attempt, openMenu } from './dialogs.js';
import { $, avatar, fill, h, icon, iconButton } from './dom.js';
import { isDark, toggleTheme } from './theme.js';

/** open: { server(id), channel(id) }; logOut(). */
export function renderNav(store, open, logOut) {
  renderRail(store, open);
  renderHead(store, open);
  renderChannels(store, open);
  renderAccount(store, open, logOut);
}

function renderRail(store, open) {
  const { servers, dms } = store.state;

  const button = (key, label, content, channels, id) => h('button', {
    type: 'button', class: 'rail-button', 'data-key': key,
    'aria-label': label, title: label,
    'aria-current': store.serverId === id && 'true',
    onclick: () => open.server(id),
  }, content, channels.some((it) => store.isUnread(it))
    && h('span', { class: 'dot' }, h('span', { class: 'unseen' }, 'unread')));

  fill($('rail'),
       button('dms', 'Direct messages', icon('chat'), dms, undefined),
       h('hr'),
       servers.map((it) => button(`server-${it.id}`, it.name,
                                  avatar(it.id, it.name), it.channels, it.id)),
       iconButton('plus', 'Join or create a server', (event) => (
         joinMenu(event.currentTarget, store, open)),
                  { class: 'rail-button', 'data-key': 'join' }));
}

function joinMenu(button, store, open) {
  openMenu(button, [
    ...store.state.others.map(({ id, name }) => ({
      label: `Join ${name}`,
      run: () => attempt(async () => {
        await api.post(`/servers/${id}/members`);
        await store.refresh();
        open.server(id);
      }),
    })),
    {
      label: 'Create a server',
      run: () => ask({
        title: 'Create a server',
        fields: { name: { label: 'Name' } },
        action: 'Create',
        submit: async (values) => {
          const { id } = await api.post('/servers', values);
          await store.refresh();
          open.server(id);
        },
      }),
    },
  ]);
}

function renderHead(store, open) {
  const { server, isOwner } = store;

  fill($('sidebar-head'),
       h('h2', {}, server ? server.name : 'Direct messages'),
       server && iconButton('more', `Menu of ${server.name}`, (event) => (
         openMenu(event.currentTarget, isOwner ? ownerMenu(store, server, open)
           : memberMenu(store, server))), { 'data-key': 'server-menu' }));
}

function memberMenu(store, server) {
  return [{
    label: 'Leave server',
    danger: true,
    run: () => ask({
      title: `Leave ${server.name}?`,
      action: 'Leave',
      danger: true,
      submit: () => api.delete(
        `/servers/${server.id}/members/${store.state.userId}`),
    }),
  }];
}

function ownerMenu(store, server, open) {
  return [
    {
      label: 'New channel',
      run: () => createChannel(store, server, null, open),
    },
    {
      label: 'New category',
      run: () => ask({
        title: 'New category',
        fields: { name: { label: 'Name' } },
        action: 'Create',
        submit: (values) => api.post(
          `/servers/${server.id}/categories`, values),
      }),
    },
    {
      label: 'Rename server',
      run: () => ask({
        title: 'Rename server',
        fields: { name: { label: 'Name', value: server.name } },
        action: 'Rename',
        submit: (values) => api.patch(`/servers/${server.id}`, values),
      }),
    },
    {
      label: 'Delete server',
      danger: true,
      run: () => ask({
        title: `Delete ${server.name}?`,
        text: 'Its channels and messages will be gone for all members.',
        action: 'Delete',
        danger: true,
        submit: () => api.delete(`/servers/${server.id}`),
      }),
    },
  ];
}

// who may read a private channel, besides the owner
function readers(store, server, channel) {
  return {
    label: 'Who may read it, if it is private',
    type: 'choices',
    options: server.memberIds.filter((id) => id !== server.ownerId)
      .map((id) => ({
        value: id, label: store.user(id).name,
        on: Boolean(channel?.userIds.includes(id)),
      })),
  };
}

function createChannel(store, server, category, open) {
  ask({
    title: category ? `New channel in ${category.name}` : 'New channel',
    fields: {
      name: { label: 'Name' },
      private: { label: 'Private', type: 'checkbox' },
      userIds: readers(store, server),
    },
    action: 'Create',
    submit: async (values) => {
      const channel = await api.post(`/servers/${server.id}/channels`, {
        ...values, categoryId: category?.id ?? null,
      });
      await store.refresh();
      open.channel(channel.id);
    },
  });
}

function channelMenu(store, channel) {
  const { server } = store;

  return [
    {
      label: 'Edit channel',
      run: () => ask({
        title: `Edit ${channel.name}`,
        fields: {
          name: { label: 'Name', value: channel.name },
          categoryId: {
            label: 'Category',
            type: 'select',
            value: channel.categoryId || '',
            options: [{ value: '', label: 'none' }, ...server.categories.map(
              ({ id, name }) => ({ value: id, label: name }))],
          },
        },
        action: 'Save',
        submit: ({ name, categoryId }) => api.patch(
          `/channels/${channel.id}`, { name, categoryId: categoryId || null }),
      }),
    },
    {
      label: 'Permissions',
      run: () => ask({
        title: `Who may read ${channel.name}?`,
        fields: {
          private: {
            label: 'Private', type: 'checkbox', value: channel.private,
          },
          userIds: readers(store, server, channel),
        },
        action: 'Save',
        submit: (values) => api.put(
          `/channels/${channel.id}/permissions`, values),
      }),
    },
    {
      label: 'Delete channel',
      danger: true,
      run: () => ask({
        title: `Delete ${channel.name}?`,
        text: 'Its messages will be gone for all members.',
        action: 'Delete',
        danger: true,
        submit: () => api.delete(`/channels/${channel.id}`),
      }),
    },
  ];
}

function categoryMenu(store, category, open) {
  return [
    {
      label: 'New channel',
      run: () => createChannel(store, store.server, category, open),
    },
    {
      label: 'Rename category',
      run: () => ask({
        title: 'Rename category',
        fields: { name: { label: 'Name', value: category.name } },
        action: 'Rename',
        submit: (values) => api.patch(`/categories/${category.id}`, values),
      }),
    },
    {
      label: 'Delete category',
      danger: true,
      run: () => ask({
        title: `Delete ${category.name}?`,
        text: 'Its channels stay.',
        action: 'Delete',
        danger: true,
        submit: () => api.delete(`/categories/${category.id}`),
      }),
    },
  ];
}

function renderChannels(store, open) {
  const { server, isOwner, state } = store;

  if (!server) {
    fill($('channels'), dmRows(store, open), state.dms.length === 0
      && h('p', { class: 'empty' }, 'Start one from the members of a server.'));
    return;
  }

  fill($('channels'), store.grouped().map(({ category, channels }) => [
    category && (isOwner || channels.length > 0) && h(
      'div', { class: 'row category' },
      h('h3', {}, category.name),
      isOwner && iconButton('more', `Menu of ${category.name}`, (event) => (
        openMenu(event.currentTarget, categoryMenu(store, category, open))),
                            { 'data-key': `category-menu-${category.id}` })),
    channels.map((channel) => row({
      store, open, channel, name: channel.name,
      mark: icon(channel.private ? 'lock' : 'hash'),
      note: channel.private && 'private',
      menu: isOwner && iconButton(
        'more', `Menu of ${channel.name}`, (event) => (
          openMenu(event.currentTarget, channelMenu(store, channel))),
        { 'data-key': `channel-menu-${channel.id}` }),
    })),
  ]));
}

function dmRows(store, open) {
  return store.state.dms.map((dm) => {
    const { id, name } = store.partner(dm);
    return row({ store, open, channel: dm, name, mark: avatar(id, name) });
  });
}

function row({ store, open, channel, name, mark, note, menu }) {
  const unread = store.isUnread(channel);

  return h('div', { class: `row${unread ? ' unread' : ''}` },
           h('button', {
             type: 'button', class: 'channel',
             'data-key': `channel-${channel.id}`,
             'aria-current': channel.id === store.channelId && 'page',
             onclick: () => open.channel(channel.id),
           }, mark, h('span', { class: 'name' }, name),
             note && h('span', { class: 'unseen' }, `, ${note}`),
             unread && h('span', { class: 'dot' },
                         h('span', { class: 'unseen' }, 'unread'))),
           menu);
}

function renderAccount(store, open, logOut) {
  const { id, name } = store.me;

  fill($('account'),
       avatar(id, name),
       h('span', { class: 'name' }, name),
       iconButton(isDark() ? 'sun' : 'moon',
                  isDark() ? 'Light colours' : 'Dark colours', () => {
                    toggleTheme();
                    renderAccount(store, open, logOut);
                  }, { 'data-key': 'theme' }),
       iconButton('leave', 'Log out', logOut));
}
