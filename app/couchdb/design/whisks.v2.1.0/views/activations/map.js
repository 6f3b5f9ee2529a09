function (doc) {
  // `end` 0 means "not ended": a trigger. It has no duration and no status code either.
  function summary() {
    var ended = Boolean(doc.end);
    return {
      namespace: doc.namespace,
      name: doc.name,
      version: doc.version,
      publish: doc.publish,
      annotations: doc.annotations,
      activationId: doc.activationId,
      start: doc.start,
      end: ended ? doc.end : undefined,
      duration: ended ? doc.end - doc.start : undefined,
      cause: doc.cause,
      statusCode: ended && doc.response ? doc.response.statusCode : undefined
    };
  }

  if (doc.activationId !== undefined) {
    emit([doc.namespace, doc.start], summary());
  }
}
