//! Finds, fetches, verifies and maps model files.
