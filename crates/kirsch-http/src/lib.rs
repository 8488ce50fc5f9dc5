//! HTTP/1.x as a pure state machine: bytes in, events out. No I/O, no clock, no log.
