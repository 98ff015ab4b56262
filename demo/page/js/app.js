// The page: log in, connect, show.
//
//     api.js       REST, the token
//     realtime.js  the Socket.IO connection
//     store.js     what the page knows, and what events do to it
//     outbox.js    what the user has written, and whether it is delivered
//     nav.js, messages.js, members.js    what it looks like

import { api, session } from './api.js';
import { notify } from './dialogs.js';
import { $, fill, h, icon } from './dom.js';
import { renderMembers } from './members.js';
import { renderMessages, renderTitle, startComposer } from './messages.js';
import { renderNav } from './nav.js';
import { connect } from './realtime.js';
import { Store } from './store.js';
import { watchTheme } from './theme.js';

const store = new Store({
  changed: render, notify,
  send: (...args) => connection.send(...args),
});
let connection;

const open = {
  server: (id) => show(store.openServer(id)),
  channel(id) {
    store.serverId = store.findChannel(id)?.serverId;
    closeDrawers();
    return show(store.openChannel(id));
  },
};

async function show(work) {
  try {
    await work;
  } catch (error) {
    failed(error);
  }
}

// ---- what is shown

function render(what) {
  if (!store.state) {
    return;
  }
  if (what === 'messages') {
    renderMessages(store);
  } else {
    renderNav(store, open, () => end());
    renderTitle(store);
    renderMembers(store, open);
  }
}

function renderStatus({ state, transport, attempt, reconnects }) {
  const label = {
    connecting: 'Connecting',
    connected: 'Connected',
    reconnecting: attempt ? `Reconnecting, attempt ${attempt}` : 'Reconnecting',
  }[state];
  const again = reconnects > 0
    && `reconnected ${reconnects === 1 ? 'once' : `${reconnects} times`}`;

  $('connection').dataset.state = state;
  fill($('connection'),
       h('span', { class: 'lamp', 'aria-hidden': 'true' }),
       h('span', { class: 'state' }, label),
       transport && h('span', { class: 'transport' }, transport),
       again && h('span', { class: 'again' }, again));

  $('banner').hidden = state !== 'reconnecting';
  $('banner').textContent = state === 'reconnecting'
    ? 'The connection is lost. The page comes back by itself.' : '';
}

// ---- one session

function start() {
  $('login').hidden = true;
  $('app').hidden = false;
  connection = connect({
    token: session.token,
    onConnect: refresh,
    onEvent: (name, payload) => store.event(name, payload),
    onStatus: renderStatus,
    onRefused: (error) => end(error.message),
  });
}

// what was missed while there was no connection, and at the start all of it
async function refresh() {
  const { token } = session;
  try {
    await store.refresh();
  } catch (error) {
    failed(error);
    if (session.token) {
      setTimeout(() => { if (token === session.token) { refresh(); } }, 2000);
    }
  }
}

function failed(error) {
  if (error.status === 401) {
    end(error.message);
  } else {
    notify(error.message);
  }
}

function end(why = '') {
  connection?.disconnect();
  connection = undefined;
  session.token = undefined;
  store.reset();
  $('app').hidden = true;
  $('login').hidden = false;
  $('login').querySelector('.error').textContent = why;
  $('login-form').elements.name.focus();
}

$('login-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const error = form.querySelector('.error');
  error.textContent = '';

  try {
    const { token } = await api.post('/login', {
      name: form.elements.name.value.trim().toLowerCase(),
      password: form.elements.password.value,
    });
    session.token = token;
    form.reset();
    start();
  } catch (problem) {
    error.textContent = problem.message;
  }
});

// ---- drawers, on narrow screens

const drawers = {
  nav: { button: $('open-drawer'), drawer: $('drawer') },
  members: { button: $('open-members'), drawer: $('members') },
};

function toggleDrawer(name) {
  const { button, drawer } = drawers[name];
  const opens = document.body.dataset.drawer !== name;

  closeDrawers();
  if (opens) {
    document.body.dataset.drawer = name;
    button.setAttribute('aria-expanded', 'true');
    drawer.querySelector('[aria-current="page"], button')?.focus();
  }
}

function closeDrawers() {
  const shown = drawers[document.body.dataset.drawer];
  if (shown) {
    document.body.dataset.drawer = '';
    shown.button.setAttribute('aria-expanded', 'false');
    shown.button.focus();
  }
}

$('open-drawer').append(icon('menu'));
$('open-members').append(icon('people'));
$('open-drawer').addEventListener('click', () => toggleDrawer('nav'));
$('open-members').addEventListener('click', () => toggleDrawer('members'));
$('backdrop').addEventListener('click', closeDrawers);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') {
    closeDrawers();
  }
});

startComposer(store);
watchTheme(() => render('state'));

if (session.token) {
  start();
} else {
  end();
}
