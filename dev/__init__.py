"""Local Kafka and CouchDB for `make demo` and `make test`: installs, starts and stops them."""
