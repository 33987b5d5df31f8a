//! Loads components, gives them limits and host services, and calls them.
