function (doc) {
  // The log of a sequence is the list of its steps: readers need it, so it is never cleaned up.
  function isSequence() {
    return (doc.annotations || []).some(function (pair) {
      return pair.key === "kind" && pair.value === "sequence";
    });
  }

  if (doc.activationId !== undefined && doc.logs && doc.logs.length > 0 && !isSequence()) {
    emit(doc.start, doc._id);
  }
}
