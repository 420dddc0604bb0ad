import { createServer } from 'node:http';

/** What Node can do at all: reads a POST body to its end and answers. Every figure is a share of this one's. */
createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"ok":true}'));
}).listen(Number(process.env.PORT), '127.0.0.1');
