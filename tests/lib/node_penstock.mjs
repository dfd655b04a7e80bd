// Follows a route with penstock.js in node, a JSON line for each event.
import { pathToFileURL } from 'node:url';
import { load, options, say } from './node_modules.mjs';
import { follow } from './follow_penstock.mjs';

const { Penstock } = await import(pathToFileURL(options.script));
const { default: WebSocket } = await load('ws');

await follow(Penstock, { ...options,
  client: { WebSocket, ...options.client } }, say);
process.exit(0); // the connections that node keeps would let it wait
