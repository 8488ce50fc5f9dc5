"""What the tests stand on: a raw client, a server process, and the conformance cases."""
