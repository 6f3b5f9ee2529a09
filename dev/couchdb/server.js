'use strict';
// A stand-in for CouchDB: PouchDB served by express-pouchdb, behind a front that refuses what
// CouchDB refuses.
//
//   node server.js PORT FOLDER USER:PASSWORD
//
// COUCHDB_MAX_DOCUMENT_SIZE in bytes, as CouchDB's setting max_document_size.

const fs = require('fs');
const path = require('path');
const express = require('express');
const PouchCore = require('pouchdb-core');
const { createFront } = require('./front');

const [port, folder, credentials] = process.argv.slice(2);
const maxDocumentSize = Number(process.env.COUCHDB_MAX_DOCUMENT_SIZE || 8_000_000);

for (const plugin of ['adapter-leveldb', 'mapreduce', 'replication', 'find']) {
  PouchCore.plugin(require(`pouchdb-${plugin}`));
}
fs.mkdirSync(folder, { recursive: true });
const PouchDB = PouchCore.defaults({ adapter: 'leveldb', prefix: folder + path.sep });
const back = express().use(require('express-pouchdb')(PouchDB, {
  inMemoryConfig: true,
  logPath: '/dev/null',
  overrideMode: { exclude: ['routes/fauxton'] },
}));

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

const backServer = back.listen(0, '127.0.0.1', () => {
  createFront({ backPort: backServer.address().port, credentials, maxDocumentSize })
    .on('error', fail)
    .listen(Number(port), '127.0.0.1');
}).on('error', fail);

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
