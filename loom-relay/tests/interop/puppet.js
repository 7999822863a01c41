// One gun.js peer whose strings are pulled over standard input.
//
// The first argument is {"modules", "kind", "axe", "peers"} as JSON. Every line read is a command
// {"id", "do", ...}; every line written is an event that carries the id of its command, or a
// change of a link: {"link": "up" | "down"}. An absent "data" is JavaScript's undefined.
'use strict';
const path = require('node:path');
const readline = require('node:readline');

const { modules, kind, axe, peers } = JSON.parse(process.argv[2]);
const WebSocket = require(path.join(modules, 'ws'));

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
// gun.js greets whoever loads it; standard output is ours alone.
console.log = console.error;
process.on('uncaughtException', (error) => {
  console.error(error);
  process.exit(1);
});

// A page's storage, as far as gun.js uses it.
const pageStorage = () => {
  const items = new Map();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, text) => void items.set(name, String(text)),
  };
};

const load = {
  // The library alone: no storage at all.
  bare: () => require(path.join(modules, 'gun', 'gun.js')),
  // The library as in a page: a window, and localStorage, which answers gets and puts first.
  page: () => {
    globalThis.window = globalThis;
    globalThis.localStorage = pageStorage();
    return require(path.join(modules, 'gun', 'gun.js'));
  },
  // The library with SEA: it signs what its user writes, and checks what it hears.
  signed: () => {
    const library = require(path.join(modules, 'gun', 'gun.js'));
    require(path.join(modules, 'gun', 'sea.js'));
    return library;
  },
  // The build for servers: it calls itself a super peer, and can route by AXE.
  server: () => require(path.join(modules, 'gun', 'index.js')),
};

const Gun = load[kind]();
const gun = Gun({
  peers,
  axe,
  WebSocket,
  localStorage: kind === 'page',
  radisk: false,
  multicast: false,
  stats: false,
});
gun._.on('hi', function (peer) {
  this.to.next(peer);
  say({ link: 'up' });
});
gun._.on('bye', function (peer) {
  this.to.next(peer);
  say({ link: 'down' });
});

// ["soul", "field"], a lex object as a step, null for map(); "~" first for the user signed in.
const at = ([first, ...rest]) =>
  rest.reduce(
    (chain, step) => (step === null ? chain.map() : chain.get(step)),
    first === '~' ? gun.user() : gun.get(first),
  );

const plain = (data) => {
  if (data === null || typeof data !== 'object') return data;
  const { _, ...fields } = data;
  return fields;
};

// What gun.js hashes: JSON with the members of every object in order.
const sorted = (data) =>
  JSON.stringify(data, (_, value) =>
    value !== null && typeof value === 'object'
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, value[key]]))
      : value,
  ) ?? '';

const wires = () =>
  Object.values(gun._.opt.peers)
    .map((peer) => peer.wire)
    .filter((wire) => wire && wire.readyState === WebSocket.OPEN);

const commands = {
  put: ({ id, path, value, state }) =>
    at(path).put(value, ({ ok, err }) => say({ id, ok, err }), { state }),
  set: ({ id, path, value }) => at(path).set(value, ({ ok, err }) => say({ id, ok, err })),
  // The same for what Rust has no string for: JSON inside of JSON.
  putText: ({ id, path, json }) =>
    at(path).put(JSON.parse(json), ({ ok, err }) => say({ id, ok, err })),
  onceText: ({ id, path }) => at(path).once((data) => say({ id, json: JSON.stringify(data) })),
  signUp: ({ id, name, password }) =>
    gun.user().create(name, password, ({ err }) =>
      // With a callback it makes the account and does not sign in: what the user then writes
      // goes to vertices of chance.
      err ? say({ id, err }) : commands.signIn({ id, name, password }),
    ),
  signIn: ({ id, name, password }) =>
    gun.user().auth(name, password, ({ err, sea }) => say({ id, err, pub: sea?.pub })),
  once: ({ id, path }) => at(path).once((data, key) => say({ id, key, data: plain(data) })),
  on: ({ id, path }) => at(path).on((data, key) => say({ id, key, data: plain(data) })),
  // A get as an application can send it past the API; every answer is an event.
  ask: ({ id, get }) => {
    const number = String.random(9);
    gun._.on(number, (answer) =>
      say({ id, put: answer.put, hash: answer['##'], ownHash: String.hash(sorted(answer.put)) }),
    );
    gun._.on('out', { '#': number, get });
  },
  // What this peer holds of a field, without asking anybody.
  held: ({ id, soul, field }) => {
    const node = gun._.graph[soul];
    say({ id, data: node?.[field], state: node?._['>'][field] });
  },
  graph: ({ id, soul }) => {
    const node = gun._.graph[soul];
    say({ id, data: plain(node), states: node?._['>'] });
  },
  // The network fails: no goodbye, and gun.js notices at once.
  drop: ({ id }) => {
    const open = wires();
    open.forEach((wire) => wire.terminate());
    say({ id, dropped: open.length });
  },
  peer: ({ peer }) => {
    gun.opt({ peers: [peer] });
    gun._.opt.mesh.say({ dam: 'hi' }, gun._.opt.peers[peer]);
  },
  pid: ({ id }) => say({ id, pid: gun._.opt.pid }),
  // Whether a write made now could leave at once.
  links: ({ id }) => say({ id, up: wires().length }),
};

readline
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  // Its test is over.
  .on('close', () => process.exit(0));
say({ ready: true });
