//! Harness of the end-to-end tests: starts built binaries and reads what they print.
