"""What the tests of running workers share: records, Kafka, the database, and waiting."""
