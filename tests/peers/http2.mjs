// An HTTP/2 server with TLS on Node's own implementation (nghttp2), which is neither ours nor h2's.
// usage: node http2.mjs KEY CERT [SETTINGS]
// Prints its port, then a line of JSON for each request: its session, headers and body. What it answers is read off
// the end of the path; APNs' answers are as Apple's pages print them. A line on standard input makes it misbehave.
import {constants, createSecureServer, sensitiveHeaders} from 'node:http2';
import {readFileSync} from 'node:fs';
import {createInterface} from 'node:readline';

const [key, cert, settings = '{}'] = process.argv.slice(2);
const server = createSecureServer({
  key: readFileSync(key),
  cert: readFileSync(cert),
  settings: JSON.parse(settings),
});
const sessions = new Set();
let sessionCount = 0;

const say = (status, headers = {}, body = '') => (stream) => {
  stream.respond({':status': status, ...headers});
  stream.end(body);
};
const refuse = (status, reason, more = {}) =>
  say(status, {'content-type': 'application/json'}, JSON.stringify({reason, ...more}));

const ENDINGS = {
  'dead': refuse(410, 'Unregistered', {timestamp: 1893499200000}),
  'bad0': refuse(400, 'BadDeviceToken'),
  'b451': refuse(429, 'TooManyRequests'),
  '01d0': refuse(403, 'ExpiredProviderToken'),
  '/refused': (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  '/reset': (stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  '/hangs-up': (stream) => stream.session.destroy(),
  '/silent': () => {},
  '/huge': (stream) => say(200, {}, 'x'.repeat(1_000_000))(stream),
  '/empty': (stream) => say(204)(stream),
  '/goes-and-answers': (stream) => {
    stream.session.goaway(constants.NGHTTP2_NO_ERROR, stream.id);
    setTimeout(() => say(200, {'apns-id': 'late'})(stream), 20);
  },
  '/goes-and-forgets': (stream) => {
    stream.session.goaway(constants.NGHTTP2_NO_ERROR, stream.id - 2);
    setTimeout(() => stream.session?.destroy(), 20);
  },
};

server.on('session', (session) => {
  session.number = ++sessionCount;
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
  session.on('error', () => {});
});
server.on('stream', (stream, headers) => {
  const pieces = [];
  stream.on('error', () => {});
  if (headers[':path'].endsWith('/early')) {
    refuse(413, 'PayloadTooLarge')(stream); // without reading
    return;
  }
  stream.on('data', (piece) => pieces.push(piece));
  stream.on('end', () => {
    const body = Buffer.concat(pieces).toString();
    const sensitive = headers[sensitiveHeaders];
    console.log(JSON.stringify({session: stream.session?.number, headers, sensitive, body}));
    const ending = Object.keys(ENDINGS).find((each) => headers[':path'].endsWith(each));
    (ENDINGS[ending] ?? say(200, {'apns-id': headers['apns-id'] ?? 'none'}))(stream);
  });
});
createInterface({input: process.stdin}).on('line', (line) => {
  for (const session of sessions) {
    if (line === 'goaway') session.goaway(constants.NGHTTP2_NO_ERROR);
  }
}).on('close', () => process.exit());
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
