//! Tests of execs.
