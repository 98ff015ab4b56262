// What is there at the first start: three users, three servers.

import { hashPassword } from './passwords.js';

const NAMES = ['alice', 'bob', 'carol'];

export async function seed() {
  let next = 1;
  const id = () => String(next++);
  const messages = {};

  const users = await Promise.all(NAMES.map(async (name) => ({
    id: id(), name, password: await hashPassword(`${name}-demo`),
  })));
  const [alice, bob, carol] = users.map((user) => user.id);

  // lines: [minutes ago, author, text, { emoji: [user, ...] }]
  const say = (channel, lines) => {
    messages[channel.id] = lines.map(([ago, authorId, content, marks = {}]) => ({
      id: id(),
      channelId: channel.id,
      authorId,
      content,
      createdAt: Date.now() - ago * 60000,
      editedAt: null,
      reactions: Object.entries(marks)
        .map(([emoji, userIds]) => ({ emoji, userIds })),
    }));
    return channel;
  };

  // channels: { category: { channel: lines } }; "!" before it: private, for
  // the first two members
  const server = (name, ownerId, memberIds, tree) => {
    const it = { id: id(), name, ownerId, memberIds, categories: [], channels: [] };
    for (const [title, channels] of Object.entries(tree)) {
      const category = { id: id(), name: title };
      it.categories.push(category);
      for (const [key, lines] of Object.entries(channels)) {
        it.channels.push(say({
          id: id(),
          serverId: it.id,
          categoryId: category.id,
          name: key.replace('!', ''),
          private: key.startsWith('!'),
          userIds: key.startsWith('!') ? memberIds.slice(0, 2) : [],
        }, lines));
      }
    }
    return it;
  };

  const servers = [
    server('Northlight', alice, [alice, bob, carol], {
      Studio: {
        general: [
          [52, alice, 'The new site goes live on Thursday, so today is for the last open points.'],
          [50, carol, 'Copy for the landing page is done. Two headlines are still too long for small screens.'],
          [47, bob, 'Send them over, I am in that file anyway.', { '\u{1f44d}': [carol, alice] }],
          [31, carol, 'Here they are:\n1. Light that follows you through the day\n2. One switch for every room'],
          [30, carol, 'The second one is the shorter of the two, but I like the first better.', { '\u2764\ufe0f': [alice] }],
          [12, bob, 'Both fit now, down to 360 pixels. Please have a look when you can.', { '\u{1f389}': [alice, carol], '\u{1f440}': [carol] }],
          [9, alice, 'Looks great on my phone. Thank you both!'],
        ],
        releases: [
          [95, bob, 'Staging runs the release candidate now.', { '\u{1f440}': [alice] }],
          [88, alice, 'Checked log-in, search and the order form. No complaints.', { '\u{1f44d}': [bob] }],
        ],
      },
      Team: {
        lunch: [
          [70, carol, 'Who joins for noodles tomorrow at half past twelve?', { '\u{1f64b}': [alice, bob] }],
        ],
        '!budget': [
          [140, alice, 'Numbers for the next quarter are in the shared folder.'],
          [133, bob, 'Read them. We should talk about the hosting bill.'],
        ],
      },
    }),
    server('Chess Club', bob, [bob, alice], {
      Club: {
        announcements: [
          [600, bob, 'The spring tournament starts on the first Monday of April.', { '\u{1f389}': [alice] }],
        ],
        openings: [
          [220, alice, 'Is there a quiet line against the Scandinavian?'],
          [215, bob, '2. e5 keeps things closed, but you will not get an advantage from it.'],
        ],
      },
    }),
    server('Film Night', carol, [carol], {
      Evenings: {
        suggestions: [
          [300, carol, 'Something short this week, please.'],
        ],
      },
    }),
  ];

  const dms = [
    say({ id: id(), userIds: [alice, bob] }, [
      [20, bob, 'Do you have ten minutes later, about the release?'],
      [18, alice, 'Sure, any time.'],
    ]),
  ];

  return { nextId: next, users, servers, dms, messages };
}
