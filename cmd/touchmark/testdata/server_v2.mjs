// A server on standard input and output, made with version 2 of the TypeScript
// SDK. Its arguments are the directory of the package, and what its tool says.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [dir, description] = process.argv.slice(2);
const load = (...parts) => import(pathToFileURL(path.join(dir, ...parts)));
const { McpServer } = await load('dist', 'index.mjs');
const { serveStdio } = await load('dist', 'stdio.mjs');
const { z } = await load('..', '..', 'zod', 'index.js');

serveStdio(() => {
  const server = new McpServer({ name: 'v2-server', version: '1.2.0' });
  server.registerTool('read_text_file', { description, inputSchema: z.object({ path: z.string() }) }, async ({ path }) => ({
    content: [{ type: 'text', text: `content of ${path}` }],
  }));
  return server;
});
