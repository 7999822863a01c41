// Makes tests/vectors/sea-vectors.json: writes to user space and the like, as real gun.js emits
// them and as an attacker would, each with what a real gun.js with SEA does about it.
//
//     node loom-relay/tests/interop/sea-vectors.js target/interop/node_modules \
//       >loom-relay/tests/vectors/sea-vectors.json
'use strict';
const path = require('node:path');

const modules = path.resolve(process.argv[2]);
console.log = () => {};
const WebSocket = require(path.join(modules, 'ws'));
const Gun = require(path.join(modules, 'gun', 'gun.js'));
const SEA = require(path.join(modules, 'gun', 'sea.js'));

const quiet = { WebSocket, localStorage: false, radisk: false, multicast: false, stats: false };
const until = async (what, condition) => {
  for (const start = Date.now(); Date.now() - start < 20_000; ) {
    const found = await condition();
    if (found !== undefined && found !== false) return found;
    await new Promise((done) => setTimeout(done, 5));
  }
  throw new Error(`not within 20 s: ${what}`);
};

// What a client sends, one entry per field.
const listen = () =>
  new Promise((ready) => {
    const fields = [];
    const server = new WebSocket.Server({ port: 0 }, () => ready({ server, fields }));
    server.on('connection', (socket) =>
      socket.on('message', (text) => {
        for (const message of [JSON.parse(text)].flat()) {
          if (message.get) socket.send(JSON.stringify({ '#': String.random(9), '@': message['#'] }));
          for (const [soul, node] of Object.entries(message.put ?? {}))
            for (const [field, state] of Object.entries(node._['>']))
              fields.push({ soul, field, state, value: node[field] });
          if (message.put) socket.send(JSON.stringify({ '#': String.random(9), '@': message['#'], ok: true }));
        }
      }),
    );
  });

// What gun.js does about a write: 'merged', its error, or 'silence'. Every write has a fresh judge,
// which is told of something else afterwards: when that is merged, the write was decided.
const judge = async ({ soul, field, state, value }) => {
  const gun = Gun({ ...quiet, peers: [] });
  let error;
  const id = String.random(9);
  gun._.on('in', function (message) {
    if (message['@'] === id && message.err) error = message.err;
    this.to.next(message);
  });
  const node = (soul, field, state, value) => ({
    [soul]: { _: { '#': soul, '>': { [field]: state } }, [field]: value },
  });
  gun._.on('in', { '#': id, put: node(soul, field, state, value), $: gun });
  const held = () => gun._.graph[soul]?.[field] !== undefined;
  const start = Date.now();
  // A refusal without a word is told from slowness by waiting far longer than a signature takes.
  await until('a decision', () => error !== undefined || held() || Date.now() - start > 300);
  if (error !== undefined && held()) throw new Error('merged and refused');
  return held() ? 'merged' : (error ?? 'silence');
};

const main = async () => {
  const { server, fields } = await listen();
  const url = `http://127.0.0.1:${server.address().port}/gun`;
  const client = () => Gun({ ...quiet, peers: [url] });
  const acked = (put) => new Promise((done) => put(done));
  const cases = [];
  const add = (note, write) => cases.push({ note, ...write });

  const gun = client();
  const user = gun.user();
  await acked((done) => user.create('ada', 'correct horse', done));
  await acked((done) => user.auth('ada', 'correct horse', done));
  const ada = user._.sea;
  const own = `~${ada.pub}`;
  const values = {
    name: 'Ada', number: 1.5, large: 1e21, small: 1e-7, yes: true, empty: '', nothing: null,
    text: 'ü\u{1f600}"\\/\n\u2028', json: '{"a":1}', lone: 'a\ud800b',
  };
  for (const [field, value] of Object.entries(values))
    await acked((done) => user.get(field).put(value, done));
  await acked((done) => user.get('profile').put({ city: 'London', at: { x: 1 } }, done));
  await acked((done) => user.get('list').set({ n: 1 }, done));
  await acked((done) => user.get('name').put('Ada L.', done));
  await acked((done) => user.get('list').get('x'.repeat(3)).put(null, done));

  const bob = client().user();
  await acked((done) => bob.create('bob', 'battery staple', done));
  await acked((done) => bob.auth('bob', 'battery staple', done));
  const certificate = await SEA.certify(bob._.sea.pub, { '*': 'inbox' }, ada);
  await acked((done) =>
    client().user().auth(bob._.sea, () => done()),
  );
  const guest = client().user();
  await acked((done) => guest.auth(bob._.sea, done));
  guest._.root.$.get(own).get('inbox').get('hello').put('from bob', () => {}, { opt: { cert: certificate } });
  await until('the guest writes', () => fields.some((write) => `${write.value}`.includes('"+"')));

  const seen = new Set();
  for (const write of fields) {
    const key = JSON.stringify(write);
    if (seen.has(key)) continue;
    seen.add(key);
    add('as gun.js sends it', write);
  }

  // What gun.js signs, signed by anybody, for anything.
  const record = (soul, field, value, state) => ({ '#': soul, '.': field, ':': value, '>': state });
  const sign = async (pair, soul, field, value, state) =>
    (await SEA.sign(record(soul, field, value, state), pair, null, { raw: 1 })).s;
  const wrap = (value, signature) => JSON.stringify({ ':': value, '~': signature });
  const state = 1795400000000;
  const name = fields.find((write) => write.soul === own && write.field === 'name');
  const { ':': plain, '~': signature } = JSON.parse(name.value);
  const mallory = await SEA.pair();
  const signed = async (soul, field, value, at = state, pair = ada) => ({
    soul, field, state: at, value: wrap(value, await sign(pair, soul, field, value, at)),
  });

  add('another value under the same signature', { ...name, value: wrap('Eve', signature) });
  add('moved to another field', { ...name, field: 'nickname' });
  add('moved to another vertex of the user', { ...name, soul: `${own}/profile` });
  add('moved to another user', { ...name, soul: `~${mallory.pub}` });
  add('a later state', { ...name, state: name.state + 1 });
  add('an earlier state', { ...name, state: name.state - 1 });
  add('a state off by a fraction', { ...name, state: name.state + 0.25 });
  add('a number that prints like the signed text', await (async () => {
    const write = await signed(own, 'kind', '1');
    return { ...write, value: wrap(1, JSON.parse(write.value)['~']) };
  })());
  add('signed by somebody else', await signed(own, 'name', 'Eve', state, mallory));
  add('unsigned text', { soul: own, field: 'name', state, value: 'Eve' });
  add('unsigned number', { soul: own, field: 'name', state, value: 5 });
  add('unsigned null', { soul: own, field: 'name', state, value: null });
  add('unsigned link', { soul: own, field: 'name', state, value: { '#': 'elsewhere' } });
  add('an empty signature', { ...name, value: wrap(plain, '') });
  add('no signature', { ...name, value: JSON.stringify({ ':': plain }) });
  add('a signature cut short', { ...name, value: wrap(plain, signature.slice(0, 40)) });
  add('a signature of zeros', { ...name, value: wrap(plain, Buffer.alloc(64).toString('base64')) });
  add('a signature that is a number', { ...name, value: wrap(plain, 5) });
  add('a signature with bytes after it', {
    ...name, value: wrap(plain, Buffer.concat([Buffer.from(signature, 'base64'), Buffer.from('x')]).toString('base64')),
  });
  add('a signature in the other alphabet, unpadded', {
    ...name, value: wrap(plain, Buffer.from(signature, 'base64').toString('base64url')),
  });
  add('a signature as an array of bytes', { ...name, value: wrap(plain, [...Buffer.from(signature, 'base64')]) });
  add('the other signature of the pair (r, n-s)', {
    ...name,
    value: wrap(plain, (() => {
      const bytes = Buffer.from(signature, 'base64').toString('hex');
      const n = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
      const s = (n - BigInt(`0x${bytes.slice(64)}`)).toString(16).padStart(64, '0');
      return Buffer.from(bytes.slice(0, 64) + s, 'hex').toString('base64');
    })()),
  });
  add('spaces in the wrapping', { ...name, value: JSON.stringify(JSON.parse(name.value), null, 1) });
  add('the wrapping in the other order', { ...name, value: JSON.stringify({ '~': signature, ':': plain }) });
  add('a stranger in the wrapping', { ...name, value: JSON.stringify({ ':': plain, '~': signature, x: 1 }) });
  add('the value twice, the signed one last', { ...name, value: `{":":"Eve",${name.value.slice(1)}` });
  add('the value twice, the signed one first', { ...name, value: `${name.value.slice(0, -1)},":":"Eve"}` });
  add('escapes that JSON.stringify does not write', {
    ...name, value: name.value.replace('"Ada', '"\\u0041da'),
  });
  add('the wrapping as text inside text', { ...name, value: JSON.stringify(name.value) });
  add('a value that is an object', await signed(own, 'object', { b: 1, a: [1, { c: 'x' }] }));
  add('a value that is an array', await signed(own, 'array', [1, 2]));
  add('a state with a fraction', await signed(own, 'fraction', 'x', state + 0.001));
  add('state 0', await signed(own, 'zero', 'x', 0));
  add('a negative state', await signed(own, 'negative', 'x', -5.5));
  add('names that need escapes', await signed(`${own}/"\n\u{1f600}`, 'a"\\\u0001é', 'x'));

  // Another writer's name in the wrapping, and no certificate.
  const star = async (extra) => {
    const { value, ...write } = await signed(own, 'name', 'Eve', state, mallory);
    return { ...write, value: JSON.stringify({ ...JSON.parse(value), '*': mallory.pub, ...extra }) };
  };
  add('another writer without a certificate', await star({}));
  add('another writer with an empty certificate', await star({ '+': {} }));
  const forged = JSON.parse((await SEA.certify(mallory.pub, { '*': 'na' }, mallory)).slice(3));
  add('another writer with a certificate of his own making', await star({ '+': forged }));

  // Certificates of the owner's making.
  const certified = async (soul, field, cert, at = state, pair = bob._.sea) => {
    const { value, ...write } = await signed(soul, field, 'certified', at, pair);
    const wrapping = { ...JSON.parse(value), '+': JSON.parse(cert.slice(3)), '*': pair.pub };
    return { ...write, value: JSON.stringify(wrapping) };
  };
  const inbox = `${own}/inbox`;
  const certify = async (who, what, opt) => {
    const made = await SEA.certify(who, what, ada, null, opt);
    if (!made) throw new Error(`no certificate: ${JSON.stringify(what)}: ${SEA.err}`);
    return made;
  };
  add('certificate: within its prefix', await certified(inbox, 'a', certificate));
  add('certificate: beside its prefix', await certified(`${own}/outbox`, 'a', certificate));
  add('certificate: for somebody else', await certified(inbox, 'a', certificate, state, mallory));
  add('certificate: changed', await certified(inbox, 'a', certificate.replace('inbox', 'outbx')));
  add('certificate: for everybody', await certified(inbox, 'a', await certify('*', { '*': 'inbox' }), state, mallory));
  add('certificate: for two, one of them', await certified(inbox, 'a', await certify([bob._.sea.pub, mallory.pub], { '*': 'inbox' })));
  add('certificate: not expired', await certified(inbox, 'a', await certify(bob._.sea.pub, { '*': 'inbox' }, { expiry: state + 1 })));
  add('certificate: expired', await certified(inbox, 'a', await certify(bob._.sea.pub, { '*': 'inbox' }, { expiry: state - 1 })));
  add('certificate: exact path as text', await certified(inbox, 'a', await certify(bob._.sea.pub, 'inbox/a')));
  add('certificate: another exact path', await certified(inbox, 'b', await certify(bob._.sea.pub, 'inbox/a')));
  add('certificate: path and field', await certified(inbox, 'abc', await certify(bob._.sea.pub, { '#': { '*': 'in' }, '.': { '*': 'a' } })));
  add('certificate: path but not field', await certified(inbox, 'xyz', await certify(bob._.sea.pub, { '#': { '*': 'in' }, '.': { '*': 'a' } })));
  add('certificate: field anywhere', await certified(`${own}/x`, 'abc', await certify(bob._.sea.pub, { '.': { '*': 'a' } })));
  add('certificate: one of several', await certified(inbox, 'a', await certify(bob._.sea.pub, ['nothing', { '*': 'inbox' }])));
  add('certificate: must name the writer and does', await certified(inbox, `a${bob._.sea.pub}`, await certify(bob._.sea.pub, { '*': 'inbox', '+': '*' })));
  add('certificate: must name the writer and does not', await certified(inbox, 'a', await certify(bob._.sea.pub, { '*': 'inbox', '+': '*' })));
  add('certificate: on the account itself', await certified(own, 'inbox', certificate));
  add('certificate: everything but blocked ones', await certified(inbox, 'a', await certify(bob._.sea.pub, { '*': 'inbox' }, { block: 'blocked' })));

  // The format of 2018: the parts in an array, hashed as text.
  const { subtle } = require('node:crypto').webcrypto;
  const jwk = { kty: 'EC', crv: 'P-256', x: ada.pub.split('.')[0], y: ada.pub.split('.')[1], d: ada.priv };
  const key = await subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  const old = async (parts) => {
    const hash = await subtle.digest('SHA-256', new TextEncoder().encode(parts));
    const s = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, hash);
    return `SEA${JSON.stringify({ m: parts, s: Buffer.from(s).toString('base64') })}`;
  };
  const then = 1530000000000;
  add('2018: in its place', { soul: own, field: 'old', state: then, value: await old([own, 'old', 'x', then]) });
  add('2018: moved to another field', { soul: own, field: 'other', state: then, value: await old([own, 'old', 'x', then]) });
  add('2018: in its place, stamped today', { soul: own, field: 'old', state, value: await old([own, 'old', 'x', state]) });
  // A signature of today, dressed up as one of then, anywhere.
  const text = JSON.stringify(record(own, 'name', plain, name.state));
  add('today as 2018, in another field and state', {
    soul: own, field: 'other', state, value: JSON.stringify({ m: JSON.stringify(text), s: signature }),
  });

  add('pub is the key', { soul: own, field: 'pub', state, value: ada.pub });
  add('pub is another key', { soul: own, field: 'pub', state, value: mallory.pub });
  add('pub is signed', await signed(own, 'pub', ada.pub));
  add('pub of a vertex below', { soul: inbox, field: 'pub', state, value: ada.pub });

  add('an alias in the list of aliases', { soul: '~@', field: 'ada', state, value: { '#': '~@ada' } });
  add('a false alias in the list of aliases', { soul: '~@', field: 'ada', state, value: { '#': '~@bob' } });
  add('text in the list of aliases', { soul: '~@', field: 'ada', state, value: '~@ada' });
  add('null in the list of aliases', { soul: '~@', field: 'ada', state, value: null });
  add('a key under an alias', { soul: '~@ada', field: own, state, value: { '#': own } });
  add('another key under an alias', { soul: '~@ada', field: own, state, value: { '#': `~${mallory.pub}` } });
  add('something else under an alias', { soul: '~@ada', field: 'x', state, value: { '#': 'x' } });
  add('text under an alias', { soul: '~@ada', field: own, state, value: own });
  add('null under an alias', { soul: '~@ada', field: own, state, value: null });

  const hash = async (value) => SEA.work(value, null, null, { name: 'SHA-256' });
  const hex = async (value) => Buffer.from(await hash(value), 'base64').toString('hex');
  for (const value of ['some text', 'ü\u{1f600}', '', 'a\ud800b', 1.5, 1e21, true, null, { '#': 'link' }]) {
    add('hashed: base64', { soul: 'things#', field: await hash(value), state, value });
    add('hashed: hex', { soul: '#', field: await hex(value), state, value });
  }
  add('hashed: after a prefix', { soul: '#', field: `a#b#${await hash('x')}`, state, value: 'x' });
  add('hashed: another value', { soul: '#', field: await hash('x'), state, value: 'y' });
  add('hashed: no hash', { soul: '#', field: 'x', state, value: 'x' });
  add('hashed: upper case hex', { soul: '#', field: (await hex('x')).toUpperCase(), state, value: 'x' });
  add('hashed: hex and more', { soul: '#', field: `${await hex('x')}0`, state, value: 'x' });
  add('hashed: in the space of a user, signed', await signed(`${own}/#`, 'x', 'x'));
  add('hashed: in the space of a user, unsigned', { soul: `${own}/#`, field: await hash('x'), state, value: 'x' });

  add('a key within a soul, signed', await signed(`chat/${own}/x`, 'x', 'x'));
  add('a key within a soul, unsigned', { soul: `chat/${own}/x`, field: 'x', state, value: 'x' });
  add('the second tilde does not count', { soul: `a~b${own}`, field: 'x', state, value: 'x' });
  for (const soul of ['free', '~', '~x', '~x/y', '~a.b', '~a b', 'approx ~5 minutes', 'x~@y', 'x~@', '~~a.b', '~.', '~-a_.', 'a.b~', '@x', '~é.x'])
    add('an odd soul, unsigned', { soul, field: 'x', state, value: 'x' });

  for (const write of cases) write.gun = await judge(write);
  process.stdout.write(
    JSON.stringify({
      description: 'Writes and what gun.js 0.2020.1241 with SEA does about each; made by tests/interop/sea-vectors.js',
      writes: cases,
    }).replaceAll(/(\{"note")/g, '\n$1').replace(/\]\}$/, '\n]}\n'),
  );
  process.exit(0);
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
