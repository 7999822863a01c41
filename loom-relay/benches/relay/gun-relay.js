// The relay that the gun package documents: Gun on a web server. The first argument is
// {"modules", "radisk", "axe"} as JSON; the port it listens on is written to standard output.
'use strict';
const http = require('node:http');
const path = require('node:path');

const { modules, radisk, axe } = JSON.parse(process.argv[2]);
const Gun = require(path.join(modules, 'gun'));

const server = http.createServer(Gun.serve(process.cwd()));
server.listen(0, '127.0.0.1', () => {
  // What would cost it time beside the load is off: looking for others on the local network, and
  // statistics written to a file every few seconds.
  Gun({ web: server, radisk, axe, multicast: false, stats: false });
  console.log(`listening on port ${server.address().port}`);
});
