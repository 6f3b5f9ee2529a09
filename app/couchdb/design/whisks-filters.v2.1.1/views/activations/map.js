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

  function annotation(key) {
    var found;
    (doc.annotations || []).forEach(function (pair) {
      if (pair.key === key) {
        found = pair.value;
      }
    });
    return found;
  }

  // An action reached through a binding is listed under the binding's package, not under the
  // package that `path` names. namespace/package/action names a package, namespace/action does not.
  function packageName() {
    var binding = annotation("binding");
    if (typeof binding === "string" && binding) {
      return binding.split("/")[1];
    }
    var path = String(annotation("path")).split("/");
    return path.length === 3 ? path[1] : undefined;
  }

  if (doc.activationId !== undefined) {
    var inPackage = packageName();
    var action = inPackage === undefined ? doc.name : inPackage + "/" + doc.name;
    emit([doc.namespace + "/" + action, doc.start], summary());
  }
}
