// An MCP client that knows nothing of identities, made with version 1 or 2 of the
// TypeScript SDK: node client.mjs VERSION DIR REQUESTS CMD ARGS. DIR is the
// directory of the package. REQUESTS is a JSON array of [method, params], and the
// output one of what came of each: {"result": ...} or {"code", "message", "data"}.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [version, dir, requests, command, ...args] = process.argv.slice(2);
const load = (...parts) => import(pathToFileURL(path.join(dir, ...parts)));
const files = { v1: [['dist', 'esm', 'client', 'index.js'], ['dist', 'esm', 'client', 'stdio.js']], v2: [['dist', 'index.mjs'], ['dist', 'stdio.mjs']] };
const [{ Client }, { StdioClientTransport }] = await Promise.all(files[version].map((parts) => load(...parts)));

// What the SDK calls the requests; the rest of the name is the method's.
const calls = {
  'tools/list': 'listTools', 'tools/call': 'callTool', 'prompts/list': 'listPrompts', 'prompts/get': 'getPrompt',
  'resources/list': 'listResources', 'resources/templates/list': 'listResourceTemplates', 'resources/read': 'readResource',
  'resources/subscribe': 'subscribeResource', 'completion/complete': 'complete',
};
const client = new Client({ name: `unmodified-${version}`, version: '1.0.0' }, version === 'v2' ? { versionNegotiation: { mode: 'auto' } } : {});
await client.connect(new StdioClientTransport({ command, args, stderr: 'inherit', env: process.env }));
const out = [];
for (const [method, params] of JSON.parse(requests)) {
  try {
    out.push({ result: await client[calls[method]](params) });
  } catch (e) {
    out.push({ code: e.code, message: String(e.message), data: e.data });
  }
}
console.log(JSON.stringify(out));
await client.close();
