// web-push-testing, which subscribes, checks the signature and opens what it is sent; on loopback alone.
// usage: node browser.mjs PACKAGES
import {createRequire} from 'node:module';

const need = createRequire(`${process.argv[2]}/`);
const {PushApiModel} = need('web-push-testing/src/PushApiModel.js');
const Server = need('web-push-testing/src/server.js');
const model = new PushApiModel();
const server = new Server(model, 0);
server.setRequestHandlers();
const listener = server._app.listen(0, '127.0.0.1', () => {
  model.notifyUrl = `http://localhost:${listener.address().port}/notify/`;
  console.log(listener.address().port);
});
process.stdin.resume().on('close', () => process.exit());
