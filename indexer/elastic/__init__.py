"""The parts of an index in Elasticsearch: connection, mapping, requests, bulk writes."""
