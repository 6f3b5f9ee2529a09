'use strict';
// What CouchDB 3 refuses and PouchDB lets through, or answers with another status.
// Pure: requests in, a refusal or nothing out.

const vm = require('vm');

class Refusal extends Error {
  constructor(status, error, reason) {
    super(reason);
    this.status = status;
    this.body = { error, reason };
  }
}

const badRequest = (reason) => new Refusal(400, 'bad_request', reason);

// couch_doc.erl, transfer_fields: the members that CouchDB itself gives a meaning.
const RESERVED_MEMBERS = new Set([
  '_id', '_rev', '_deleted', '_attachments', '_revisions', '_deleted_conflicts',
  '_revs_info', '_local_seq', '_conflicts',
  '_replication_id', '_replication_state', '_replication_state_time',
  '_replication_state_reason', '_replication_stats',
]);

// A cheap look for what may be wrong; the exact check costs ten times the parsing.
const MAYBE_SURROGATE = /\\u[dD][89a-fA-F]/;
const MAYBE_HUGE = /[:,[\s]-?\d[\d.]*[eE]\+?\d{3}/;

function parseJson(body) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    const suspicious = MAYBE_SURROGATE.test(text) || MAYBE_HUGE.test(text);
    return JSON.parse(text, suspicious ? refuseUnrepresentable : undefined);
  } catch {
    throw badRequest('invalid UTF-8 JSON');
  }
}

function refuseUnrepresentable(key, value, { source }) {
  const wellFormed = key.isWellFormed() && (typeof value !== 'string' || value.isWellFormed());
  // An integer of any length is legal in CouchDB; only a float can be out of range.
  const inRange = typeof value !== 'number' || Number.isFinite(value) || /^-?\d+$/.test(source);
  if (!wellFormed || !inRange) throw new SyntaxError('cannot be represented');
  return value;
}

function checkId(id) {
  if (typeof id !== 'string') throw new Refusal(400, 'illegal_docid', 'Document id must be a string');
  if (id === '') throw new Refusal(400, 'illegal_docid', 'Document id must not be empty');
  if (id.startsWith('_') && !/^_(design|local)\/./s.test(id)) {
    throw new Refusal(400, 'illegal_docid', 'Only reserved document ids may start with underscore.');
  }
}

function checkDocument(document, id, maxSize) {
  if (!document || typeof document !== 'object' || Array.isArray(document)) {
    throw badRequest('Document must be a JSON object');
  }
  if (id !== undefined) checkId(id);
  for (const member of Object.keys(document)) {
    if (member.startsWith('_') && !RESERVED_MEMBERS.has(member)) {
      throw new Refusal(400, 'doc_validation', `Bad special document member: ${member}`);
    }
  }
  if (maxSize !== undefined && Buffer.byteLength(JSON.stringify(document)) > maxSize) {
    throw new Refusal(413, 'document_too_large', String(id ?? ''));
  }
  if (typeof id === 'string' && id.startsWith('_design/')) checkViews(document);
}

function checkViews(design) {
  if ((design.language ?? 'javascript') !== 'javascript') return;
  for (const [name, view] of Object.entries(design.views ?? {})) {
    if (typeof view?.map !== 'string') continue;
    try {
      new vm.Script(`(${view.map.replace(/[;\s]+$/, '')}\n)`);
    } catch (error) {
      throw new Refusal(400, 'compilation_error',
        `Compilation of the map function in the '${name}' view failed: ${error.message}`);
    }
  }
}

function checkDatabaseName(name) {
  if (!/^[a-z][a-z0-9_$()+/-]*$/.test(name)) {
    throw new Refusal(400, 'illegal_database_name',
      `Name: '${name}'. Only lowercase characters (a-z), digits (0-9), and any of the characters ` +
      '_, $, (, ), +, -, and / are allowed. Must begin with a letter.');
  }
}

function decodePath(url) {
  try {
    return url.split('?')[0].split('/').slice(1).map(decodeURIComponent);
  } catch {
    throw badRequest('malformed path');
  }
}

// The id of the document that a request writes: undefined when it writes none of its own.
function idInPath(method, [, ...rest]) {
  const isDocument = rest.length === 1 && rest[0] !== '' && !rest[0].startsWith('_');
  const isReserved = /^_(design|local)(\/|$)/.test(rest[0]) && rest.join('/').split('/').length === 2;
  return method === 'PUT' && (isDocument || isReserved) ? rest.join('/') : undefined;
}

// Throws a Refusal when CouchDB would refuse the request.
function check({ method, url, contentType, body, maxDocumentSize }) {
  const path = decodePath(url);
  const [database, resource] = path;
  const createsDatabase = method === 'PUT' && !resource && !database.startsWith('_');
  if (createsDatabase) checkDatabaseName(database);

  const bulk = method === 'POST' && resource === '_bulk_docs' && path.length === 2;
  if (!/json/.test(contentType ?? '')) {
    if (bulk) throw new Refusal(415, 'bad_content_type', 'Content-Type must be application/json');
    return;
  }
  if (!body.length) return;

  const json = parseJson(body);
  const maxSize = body.length > maxDocumentSize ? maxDocumentSize : undefined;
  if (bulk) {
    if (!Array.isArray(json?.docs)) throw badRequest('`docs` parameter must be an array.');
    for (const document of json.docs) checkDocument(document, document?._id, maxSize);
    return;
  }
  const createsDocument = method === 'POST' && database && !database.startsWith('_') && !resource;
  const id = createsDocument ? json?._id : idInPath(method, path);
  if (createsDocument || id !== undefined) checkDocument(json, id, maxSize);
}

module.exports = { check, Refusal };
