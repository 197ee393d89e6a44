// One notification through node-apn, the second client: what it sends is held beside what we send.
// usage: node apn.mjs PACKAGES PORT CA KEY TOPIC TOKEN
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';

const [packages, port, ca, key, topic, token] = process.argv.slice(2);
const apn = createRequire(`${packages}/`)('@parse/node-apn');
const provider = new apn.Provider({
  token: {key, keyId: 'ABC123DEFG', teamId: 'DEF123GHIJ'},
  address: 'localhost',
  port: Number(port),
  ca: readFileSync(ca),
  production: true,
});
const note = new apn.Notification({
  alert: {title: 'Your visit', body: 'Hi Ada: 9:30'},
  sound: 'default',
  topic,
  expiry: 1893513600,
  priority: 10,
  pushType: 'alert',
  collapseId: 'one',
  id: 'eabeae54-14a8-11e5-b60b-1697f925ec7b',
  payload: {message_id: 'm'},
});
const {sent, failed} = await provider.send(note, token);
console.log(JSON.stringify({sent, failed: failed.map(({status, response}) => ({status, ...response}))}));
provider.shutdown(() => process.exit());
