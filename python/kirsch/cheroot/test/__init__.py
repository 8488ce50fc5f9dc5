"""What cheroot has for tests of programs that are served by it."""
