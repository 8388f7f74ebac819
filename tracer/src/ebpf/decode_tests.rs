//! Tests of the decoder on bytes.
