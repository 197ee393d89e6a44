// Stoplight's Prism, a server for each of the documents that it is given: what vendors publish of their APIs judges
// our requests, and answers with their examples. Prints their addresses as JSON; ends when its input does.
import {createRequire} from 'node:module';

const require = createRequire(`${process.argv[2]}/`);
const {createServer} = require('@stoplight/prism-http-server');
const {getHttpOperationsFromSpec} = require('@stoplight/prism-cli/dist/operations');

const quiet = () => {};
const logger = {info: quiet, warn: quiet, error: quiet, debug: quiet, trace: quiet, fatal: quiet, success: quiet};
logger.child = () => logger;
const config = {
  checkSecurity: true, validateRequest: true, validateResponse: false, errors: false, isProxy: false, mock: {dynamic: false},
};

const addresses = {};
for (const [name, file] of Object.entries(JSON.parse(process.argv[3]))) {
  const server = createServer(await getHttpOperationsFromSpec(file), {cors: false, config, components: {logger}});
  addresses[name] = await server.listen(0, '127.0.0.1');
}
console.log(JSON.stringify(addresses));
process.stdin.on('end', () => process.exit()).resume();
