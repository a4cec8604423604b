//! Use cases: one file, one transaction each. Each takes the pool, begins and commits.
